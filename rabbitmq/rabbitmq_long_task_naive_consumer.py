"""Long task, naive consumer: works in the callback and loses its connection.

    producer --> [ albums ] --> consumer: 4 seconds of work, a heartbeat each

Run each line in its own terminal tab:

    python rabbitmq_long_task_producer.py
    python rabbitmq_long_task_naive_consumer.py
    python rabbitmq_long_task_consumer.py

While the callback works, pika cannot send heartbeats. RabbitMQ takes the consumer
for dead, closes the connection, and gives the task to somebody else.
"""

import os
import sys
import time

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

for node in NODES:
    node.heartbeat = 1  # second


def main():
    with pika.BlockingConnection(NODES) as connection:
        channel = connection.channel()
        channel.queue_declare("albums", durable=True)
        channel.basic_qos(prefetch_count=1)
        channel.basic_consume("albums", encode)
        print("Waiting for albums. Press Ctrl-C to stop.")
        channel.start_consuming()
        sys.exit("RabbitMQ ended the subscription: queue albums was deleted.")


def encode(channel, method, properties, body):
    album = body.decode(errors="replace")
    print(f"Encoding {album}")
    time.sleep(4)  # stands for the work
    try:
        channel.basic_ack(method.delivery_tag)
    except pika.exceptions.AMQPConnectionError:
        sys.exit(f"Lost the connection while encoding {album}: no heartbeats")
    print(f"Finished {album}")


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
