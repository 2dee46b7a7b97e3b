"""Confirms, producer: waits for RabbitMQ's confirm after each message.

    producer --> [ royalties ] --> consumer
    producer <-- confirm: "stored, from here on it is mine"

Run each line in its own terminal tab:

    python rabbitmq_confirms_consumer.py
    python rabbitmq_confirms_producer.py
    python rabbitmq_confirms_async_producer.py 100
    python rabbitmq_confirms_async_producer.py

Safe and slow: each message costs a journey to RabbitMQ and back. Two messages fail
on purpose: one that no queue takes, one that a full queue refuses.
"""

import os
import sys
import time

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

COUNT = 5000


def main():
    with pika.BlockingConnection(NODES) as connection:
        channel = connection.channel()
        channel.queue_declare("royalties", durable=True)
        one_place = {"x-max-length": 1, "x-overflow": "reject-publish"}
        full = channel.queue_declare("", exclusive=True, arguments=one_place)
        # From here on, basic_publish waits for the confirm, and raises without one.
        channel.confirm_delivery()
        began = time.monotonic()
        for number in range(1, COUNT + 1):
            send(channel, "royalties", f"payment {number}")
        rate = COUNT / (time.monotonic() - began)
        print(f"Confirmed {COUNT} payments one by one: {rate:,.0f}/s")
        send(channel, "no_such_queue", "payment to nobody")
        send(channel, full.method.queue, "payment that fills the queue")
        send(channel, full.method.queue, "payment too many")


def send(channel, queue, text):
    persistent = pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent)
    try:
        channel.basic_publish("", queue, text.encode(), persistent, mandatory=True)
    except pika.exceptions.UnroutableError:
        print(f"Came back, no queue takes it: {text}")
    except pika.exceptions.NackError:
        print(f"Refused by RabbitMQ: {text}")


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
