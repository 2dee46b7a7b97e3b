"""Routing, producer: sends log messages, each under its severity.

                                 error, critical +--> [ queue ] --> consumer 1
    producer --> ( service_logs ) ---------------+
                  direct exchange           info +--> [ queue ] --> consumer 2

Run each line in its own terminal tab:

    python rabbitmq_routing_consumer.py error critical
    python rabbitmq_routing_consumer.py info
    python rabbitmq_routing_producer.py

The severity is the routing key. No consumer above asks for warning: the producer
is told that nobody listened.
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

LOGS = [
    ("info", "User logged in"),
    ("warning", "Disk 90 % full"),
    ("error", "Track not found"),
    ("critical", "DATABASE LOST"),
    ("info", "User logged out"),
]


def main():
    with pika.BlockingConnection(NODES) as connection:
        channel = connection.channel()
        channel.exchange_declare("service_logs", "direct", durable=True)
        channel.confirm_delivery()
        for severity, text in LOGS:
            try:
                # Without mandatory RabbitMQ would drop in silence what no queue takes.
                channel.basic_publish(
                    "service_logs", severity, text.encode(), mandatory=True
                )
                print(f"Sent {severity}: {text}")
            except pika.exceptions.UnroutableError:
                print(f"Nobody listened to {severity}: {text}")


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
