"""Headers, producer: sends album booklets that carry labels (headers).

                       all: pdf AND fr +--> [ queue ] --> consumer 1
    producer --> ( booklets ) ---------+
                headers exchange       +--> [ queue ] --> consumer 2
                        any: pdf OR fr

Run each line in its own terminal tab:

    python rabbitmq_headers_consumer.py all format=pdf language=fr
    python rabbitmq_headers_consumer.py any format=pdf language=fr
    python rabbitmq_headers_producer.py

The routing key is empty: only the headers count. What nobody asks for is dropped,
and the producer is told.
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

BOOKLETS = [
    ("Night Train", {"format": "pdf", "language": "fr"}),
    ("Low Tide", {"format": "pdf", "language": "en"}),
    ("Last Stop", {"format": "epub", "language": "fr"}),
    ("Paper Boats", {"format": "epub", "language": "en"}),
]


def main():
    with pika.BlockingConnection(NODES) as connection:
        channel = connection.channel()
        channel.exchange_declare("booklets", "headers", durable=True)
        channel.confirm_delivery()
        for title, headers in BOOKLETS:
            labels = " ".join(headers.values())
            properties = pika.BasicProperties(headers=headers)
            try:
                # Without mandatory RabbitMQ would drop in silence what no queue takes.
                channel.basic_publish(
                    "booklets", "", title.encode(), properties, mandatory=True
                )
                print(f"Sent {title} ({labels})")
            except pika.exceptions.UnroutableError:
                print(f"Nobody asked for {title} ({labels})")


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
