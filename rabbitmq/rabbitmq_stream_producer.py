"""Stream, producer: appends to a log that keeps what has been read.

    producer --> [ listening_history: 0 1 2 3 4 ... ] --> consumer from the first
                                                      --> consumer from offset 3

Run each line in its own terminal tab:

    python rabbitmq_stream_producer.py
    python rabbitmq_stream_consumer.py first
    python rabbitmq_stream_consumer.py last
    python rabbitmq_stream_consumer.py 3

A stream is a queue that deletes nothing on reading. So that it does not grow for
ever, it has a limit of size: the oldest parts go first.
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
        stream = {"x-queue-type": "stream", "x-max-length-bytes": 1_000_000_000}
        channel.queue_declare("listening_history", durable=True, arguments=stream)
        channel.confirm_delivery()
        for number in range(1, 6):
            play = f"play of track {number}"
            channel.basic_publish("", "listening_history", play.encode())
            print(f"Sent {play}")


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
