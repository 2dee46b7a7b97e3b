"""Quorum, producer: sends a file that makes every worker fail.

    producer --> [ imports, quorum ] --> worker
                       |  after three deliveries without acknowledgement
                       +--> ( dead_letters ) --> [ dead_letters ] --> reader

Run each line in its own terminal tab:

    python rabbitmq_dead_letter_reader.py
    python rabbitmq_quorum_consumer.py
    python rabbitmq_quorum_producer.py

A quorum queue keeps copies on several nodes of a cluster, and counts how often it
has delivered a message. On a single node, as here, the counting is what you see.
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
        # All of it first: without a bound queue the exchange would drop dead letters.
        channel.exchange_declare("dead_letters", "fanout", durable=True)
        channel.queue_declare("dead_letters", durable=True)
        channel.queue_bind("dead_letters", "dead_letters")
        limited = {
            "x-queue-type": "quorum",
            "x-delivery-limit": 2,  # two more after the first
            "x-dead-letter-exchange": "dead_letters",
        }
        channel.queue_declare("imports", durable=True, arguments=limited)
        channel.confirm_delivery()
        for file in ("file 1", "poison file 2", "file 3"):
            channel.basic_publish("", "imports", file.encode())
            print(f"Sent {file}")


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
