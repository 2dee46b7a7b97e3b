"""Stream, consumer: reads a log from where it likes, as often as it likes.

    producer --> [ listening_history: 0 1 2 3 4 ... ] --> consumer from the first
                                                      --> consumer from offset 3

Run each line in its own terminal tab:

    python rabbitmq_stream_producer.py
    python rabbitmq_stream_consumer.py first
    python rabbitmq_stream_consumer.py last
    python rabbitmq_stream_consumer.py 3

first is the oldest message, last the newest one, next what comes from now on, a
number the message with this offset. Reading takes nothing away from others.
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
    start = "".join(sys.argv[1:]) or "first"
    if not (start in ("first", "last", "next") or start.isdecimal()):
        print(f"Usage: python {sys.argv[0]} [first|last|next|OFFSET]", file=sys.stderr)
        sys.exit(2)
    with pika.BlockingConnection(NODES) as connection:
        channel = connection.channel()
        stream = {"x-queue-type": "stream", "x-max-length-bytes": 1_000_000_000}
        channel.queue_declare("listening_history", durable=True, arguments=stream)
        # A stream insists on a limit, and sends no more than this many unacknowledged.
        channel.basic_qos(prefetch_count=100)
        offset = int(start) if start.isdecimal() else start
        channel.basic_consume(
            "listening_history", read, arguments={"x-stream-offset": offset}
        )
        print(f"Reading from {start}. Press Ctrl-C to stop.")
        channel.start_consuming()
        sys.exit("RabbitMQ ended the subscription: the stream was deleted.")


def read(channel, method, properties, body):
    offset = properties.headers["x-stream-offset"]
    print(f"Read {offset}: {body.decode(errors='replace')}")
    # Makes room for the next message. It does not delete this one, unlike in a queue.
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
