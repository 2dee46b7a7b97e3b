"""Fanout, producer: announces to everybody who listens, whoever that is.

                                    +--> [ queue of its own ] --> listener 1
    producer --> ( new_releases ) --+--> [ queue of its own ] --> listener 2
                  fanout exchange

Run each line in its own terminal tab:

    python rabbitmq_fanout_consumer.py
    python rabbitmq_fanout_consumer.py
    python rabbitmq_fanout_producer.py

An exchange keeps nothing: without a listener an announcement is gone.
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

ANNOUNCEMENTS = ["album Night Train", "single Harbour Lights", "tour of six cities"]


def main():
    with pika.BlockingConnection(NODES) as connection:
        channel = connection.channel()
        channel.exchange_declare("new_releases", "fanout", durable=True)
        channel.confirm_delivery()
        for announcement in ANNOUNCEMENTS:
            try:
                # Without mandatory RabbitMQ would drop in silence what no queue takes.
                channel.basic_publish(
                    "new_releases", "", announcement.encode(), mandatory=True
                )
                print(f"Announced {announcement}")
            except pika.exceptions.UnroutableError:
                print(f"Nobody listened to {announcement}")


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
