"""Work queue, consumer: each task goes to one of the workers.

    producer --> [ music_tasks ] --+--> worker 1
                                   +--> worker 2

Run each line in its own terminal tab:

    python rabbitmq_consumer.py
    python rabbitmq_consumer.py
    python rabbitmq_producer.py

The workers take turns. Kill one in the middle of a task: the other gets that task
next, because RabbitMQ sees the connection end without an acknowledgement.
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


def main():
    with pika.BlockingConnection(NODES) as connection:
        channel = connection.channel()
        channel.queue_declare("music_tasks", durable=True)
        # Without this limit the first worker would be sent every waiting task.
        channel.basic_qos(prefetch_count=1)
        channel.basic_consume("music_tasks", encode)
        print("Waiting for tasks. Press Ctrl-C to stop.")
        channel.start_consuming()
        sys.exit("RabbitMQ ended the subscription: queue music_tasks was deleted.")


def encode(channel, method, properties, body):
    track = body.decode(errors="replace")
    print(f"Encoding {track}")
    time.sleep(1)  # stands for the work
    # Only now: a task acknowledged before the work is lost if the worker dies.
    channel.basic_ack(method.delivery_tag)
    print(f"Finished {track}")


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
