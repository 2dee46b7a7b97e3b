"""Priority, consumer: gets the most urgent of the waiting messages.

    producer --> [ song_requests: 9 before 1 ] --> consumer

Run each line in its own terminal tab:

    python rabbitmq_priority_producer.py
    python rabbitmq_priority_consumer.py

Among messages of the same priority the order is the one in which they came.
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
        levels = {"x-max-priority": 9}
        channel.queue_declare("song_requests", durable=True, arguments=levels)
        # What is already on its way to a consumer can no longer be overtaken.
        channel.basic_qos(prefetch_count=1)
        channel.basic_consume("song_requests", play)
        print("Waiting for requests. Press Ctrl-C to stop.")
        channel.start_consuming()
        sys.exit("RabbitMQ ended the subscription: queue song_requests was deleted.")


def play(channel, method, properties, body):
    print(f"Playing {body.decode(errors='replace')}")
    channel.basic_ack(method.delivery_tag)


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
