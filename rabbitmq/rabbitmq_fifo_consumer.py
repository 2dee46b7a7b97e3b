"""FIFO, consumer: plays the tracks in the order in which they were sent.

    producer --> [ playlist_single ] --> the one active player, others stand by

Run each line in its own terminal tab:

    python rabbitmq_fifo_consumer.py
    python rabbitmq_fifo_consumer.py
    python rabbitmq_fifo_producer.py

RabbitMQ lets one consumer at a time have messages (single active consumer). Stop
the active one: the next takes over, in order. With the word plain behind all three
lines both play at the same time, and the order is lost.
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
    mode = "".join(sys.argv[1:]) or "single"
    if mode not in ("single", "plain"):
        print(f"Usage: python {sys.argv[0]} [single|plain]", file=sys.stderr)
        sys.exit(2)
    queue = f"playlist_{mode}"
    with pika.BlockingConnection(NODES) as connection:
        channel = connection.channel()
        alone = {"x-single-active-consumer": mode == "single"}
        channel.queue_declare(queue, durable=True, arguments=alone)
        # More than one at a time could come back out of order when a player stops.
        channel.basic_qos(prefetch_count=1)
        channel.basic_consume(queue, play)
        print("Waiting for tracks. Press Ctrl-C to stop.")
        channel.start_consuming()
        sys.exit(f"RabbitMQ ended the subscription: queue {queue} was deleted.")


def play(channel, method, properties, body):
    track = body.decode(errors="replace")
    print(f"Playing {track}")
    time.sleep(3 if track.startswith("long") else 0.5)  # stands for the music
    channel.basic_ack(method.delivery_tag)
    print(f"Played {track}")


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
