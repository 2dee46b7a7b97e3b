"""Priority, producer: sends free and premium listeners' requests.

    producer --> [ song_requests: 9 before 1 ] --> consumer

Run each line in its own terminal tab:

    python rabbitmq_priority_producer.py
    python rabbitmq_priority_consumer.py

Priorities count only while messages wait. Start the consumer first, and each
request is delivered as it comes.
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

REQUESTS = [
    (1, "free request 1"),
    (1, "free request 2"),
    (9, "premium request 3"),
    (1, "free request 4"),
    (9, "premium request 5"),
]


def main():
    with pika.BlockingConnection(NODES) as connection:
        channel = connection.channel()
        levels = {"x-max-priority": 9}
        channel.queue_declare("song_requests", durable=True, arguments=levels)
        channel.confirm_delivery()
        for priority, text in REQUESTS:
            properties = pika.BasicProperties(
                priority=priority, delivery_mode=pika.DeliveryMode.Persistent
            )
            channel.basic_publish("", "song_requests", text.encode(), properties)
            print(f"Sent {text}")


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
