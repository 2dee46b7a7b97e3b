"""Fanout, consumer: every listener gets every announcement.

                                    +--> [ queue of its own ] --> listener 1
    producer --> ( new_releases ) --+--> [ queue of its own ] --> listener 2
                  fanout exchange

Run each line in its own terminal tab:

    python rabbitmq_fanout_consumer.py
    python rabbitmq_fanout_consumer.py
    python rabbitmq_fanout_producer.py

Each listener brings its own queue. Who comes late has missed what was said before.
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
        channel.exchange_declare("new_releases", "fanout", durable=True)
        # "": RabbitMQ invents a name. Exclusive: the queue goes when its script goes.
        queue = channel.queue_declare("", exclusive=True).method.queue
        channel.queue_bind(queue, "new_releases")
        # auto_ack: nobody else would get the message if this consumer died.
        channel.basic_consume(queue, hear, auto_ack=True)
        print("Listening for announcements. Press Ctrl-C to stop.")
        channel.start_consuming()


def hear(channel, method, properties, body):
    print(f"Heard {body.decode(errors='replace')}")


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
