"""Quorum, consumer: a poison message does not stop it for ever.

    producer --> [ imports, quorum ] --> worker
                       |  after three deliveries without acknowledgement
                       +--> ( dead_letters ) --> [ dead_letters ] --> reader

Run each line in its own terminal tab:

    python rabbitmq_dead_letter_reader.py
    python rabbitmq_quorum_consumer.py
    python rabbitmq_quorum_producer.py

Each failure closes the worker's channel, as a crash would. The queue counts these
deliveries, and after the third it takes the poison message away.
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
        channel = subscribe(connection)
        print("Waiting for imports. Press Ctrl-C to stop.")
        while True:
            channel.start_consuming()
            if channel.is_open:
                sys.exit("RabbitMQ ended the subscription: queue imports was deleted.")
            # The worker has failed: start again, as a supervisor would.
            channel = subscribe(connection)


def subscribe(connection):
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
    channel.basic_qos(prefetch_count=1)
    channel.basic_consume("imports", work)
    return channel


def work(channel, method, properties, body):
    file = body.decode(errors="replace")
    attempt = (properties.headers or {}).get("x-delivery-count", 0) + 1
    print(f"Importing {file}, attempt {attempt}")
    if file.startswith("poison"):
        channel.close()
    else:
        channel.basic_ack(method.delivery_tag)
        print(f"Finished {file}")


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
