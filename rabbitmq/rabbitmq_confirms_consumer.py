"""Confirms, consumer: counts the payments that arrive.

    producer --> [ royalties ] --> consumer
    producer <-- confirm: "stored, from here on it is mine"

Run each line in its own terminal tab:

    python rabbitmq_confirms_consumer.py
    python rabbitmq_confirms_producer.py
    python rabbitmq_confirms_async_producer.py 100
    python rabbitmq_confirms_async_producer.py

What was confirmed arrives, whichever producer sent it.
"""

import os
import sys

import pika
from dotenv import load_dotenv
from pika.adapters.utils.connection_workflow import AMQPConnectorException

load_dotenv()
URLS = os.getenv("RABBITMQ_URLS", "amqp://guest:guest@localhost:5672/%2F").split(",")
try:
    NODES = [pika.URLParameters(url.strip()) for url in URLS]
except (IndexError, TypeError, ValueError):
    sys.exit("RABBITMQ_URLS is malformed. Write it as .env.example does.")
HOSTS = ", ".join(f"{node.host}:{node.port}" for node in NODES)
for node in NODES:
    node.socket_timeout = node.stack_timeout = 4  # seconds until a silent port fails


def main():
    with pika.BlockingConnection(NODES) as connection:
        channel = connection.channel()
        channel.queue_declare("royalties", durable=True)
        channel.basic_qos(prefetch_count=500)
        received = 0

        def count(channel, method, properties, body):
            nonlocal received
            received += 1
            channel.basic_ack(method.delivery_tag)
            if received % 5000 == 0:
                print(f"Received {received} payments")

        channel.basic_consume("royalties", count)
        print("Waiting for payments. Press Ctrl-C to stop.")
        channel.start_consuming()
        sys.exit("RabbitMQ ended the subscription: queue royalties was deleted.")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass  # Ctrl-C is how a script is stopped
    except pika.exceptions.ChannelClosedByBroker as error:
        sys.exit(f"{HOSTS}: {error.reply_text}. Try: python -m lab reset rabbitmq")
    except (pika.exceptions.AMQPError, AMQPConnectorException, OSError) as error:
        why = type(error).__name__
        sys.exit(f"RabbitMQ at {HOSTS}: {why}. Try: python -m lab status rabbitmq")
