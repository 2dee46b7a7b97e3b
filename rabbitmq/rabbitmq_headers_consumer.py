"""Headers, consumer: gets the booklets whose headers match.

                       all: pdf AND fr +--> [ queue ] --> consumer 1
    producer --> ( booklets ) ---------+
                headers exchange       +--> [ queue ] --> consumer 2
                        any: pdf OR fr

Run each line in its own terminal tab:

    python rabbitmq_headers_consumer.py all format=pdf language=fr
    python rabbitmq_headers_consumer.py any format=pdf language=fr
    python rabbitmq_headers_producer.py

all: every one of the headers must match. any: one is enough. Without an argument
it asks for: all format=pdf language=fr.
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
    match, *pairs = sys.argv[1:] or ["all", "format=pdf", "language=fr"]
    wanted = dict(pair.split("=", 1) for pair in pairs if pair.find("=") > 0)
    if match not in ("all", "any") or not pairs or len(wanted) < len(pairs):
        print(f"Usage: python {sys.argv[0]} all|any NAME=VALUE ...", file=sys.stderr)
        sys.exit(2)
    with pika.BlockingConnection(NODES) as connection:
        channel = connection.channel()
        channel.exchange_declare("booklets", "headers", durable=True)
        queue = channel.queue_declare("", exclusive=True).method.queue
        # The binding carries what to look for; x-match says how to combine it.
        channel.queue_bind(queue, "booklets", arguments={"x-match": match, **wanted})
        # auto_ack: nobody else would get the message if this consumer died.
        channel.basic_consume(queue, receive, auto_ack=True)
        print(f"Waiting for {match} of {' '.join(pairs)}. Press Ctrl-C to stop.")
        channel.start_consuming()


def receive(channel, method, properties, body):
    labels = " ".join(str(value) for value in (properties.headers or {}).values())
    print(f"Received {body.decode(errors='replace')} ({labels})")


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
