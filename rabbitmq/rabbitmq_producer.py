"""Work queue, producer: sends six tasks, each for one of the workers.

    producer --> [ music_tasks ] --+--> worker 1
                                   +--> worker 2

Run each line in its own terminal tab:

    python rabbitmq_consumer.py
    python rabbitmq_consumer.py
    python rabbitmq_producer.py

Start the producer first if you like: the queue keeps the tasks until a worker
comes, even if RabbitMQ restarts in between.
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
        channel.queue_declare("music_tasks", durable=True)
        # From here on, basic_publish returns only when RabbitMQ has stored the message.
        channel.confirm_delivery()
        # A durable queue survives a restart of RabbitMQ, its transient messages do not.
        persistent = pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent)
        for number in range(1, 7):
            track = f"track {number}"
            channel.basic_publish("", "music_tasks", track.encode(), persistent)
            print(f"Sent {track}")


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
