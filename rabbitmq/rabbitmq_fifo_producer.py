"""FIFO, producer: sends numbered tracks that are to be played in this order.

    producer --> [ playlist_single ] --> the one active player, others stand by

Run each line in its own terminal tab:

    python rabbitmq_fifo_consumer.py
    python rabbitmq_fifo_consumer.py
    python rabbitmq_fifo_producer.py

A queue keeps the order in which messages came in. The first track is a long one:
with two plain consumers (add the word plain to all three lines) it ends last.
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

TRACKS = ["long track 1", "track 2", "track 3", "track 4", "track 5", "track 6"]


def main():
    mode = "".join(sys.argv[1:]) or "single"
    if mode not in ("single", "plain"):
        print(f"Usage: python {sys.argv[0]} [single|plain]", file=sys.stderr)
        sys.exit(2)
    queue = f"playlist_{mode}"
    with pika.BlockingConnection(NODES) as connection:
        channel = connection.channel()
        alone = {"x-single-active-consumer": mode == "single"}
        channel.queue_declare(queue, durable=True, arguments=alone)
        channel.confirm_delivery()
        persistent = pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent)
        for track in TRACKS:
            channel.basic_publish("", queue, track.encode(), persistent)
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
