"""Retry, producer: orders downloads, some of which fail at first.

    producer --> [ downloads ] --> consumer --- failed --> [ downloads_wait_1s ] ---+
                       ^                           +-----> [ downloads_wait_2s ] ---+
                       +--- after its time, as a dead letter -----------------------+

Run each line in its own terminal tab:

    python rabbitmq_dead_letter_reader.py
    python rabbitmq_retry_consumer.py
    python rabbitmq_retry_producer.py

The consumer tries a failed download again after one second, then after two, and
then gives it up. RabbitMQ needs no plugin for that.
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
        channel.queue_declare("dead_letters", durable=True)
        # The exchange "" leads straight to the queue that the routing key names.
        name = "dead_letters"
        dead = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": name}
        channel.queue_declare("downloads", durable=True, arguments=dead)
        channel.confirm_delivery()
        persistent = pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent)
        for text in ("flaky track 1", "track 2", "missing track 3"):
            channel.basic_publish("", "downloads", text.encode(), persistent)
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
