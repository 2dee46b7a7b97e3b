"""Confirms, asynchronous producer: many messages on their way at once.

    producer --> [ royalties ] --> consumer
    producer <-- confirm: "stored, from here on it is mine"

Run each line in its own terminal tab:

    python rabbitmq_confirms_consumer.py
    python rabbitmq_confirms_producer.py
    python rabbitmq_confirms_async_producer.py 100
    python rabbitmq_confirms_async_producer.py

At most 100 messages are unconfirmed at a time, without a number all of them: less
waiting, more speed, and more to send again if RabbitMQ dies.
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
    window = "".join(sys.argv[1:]) or str(COUNT)
    if not window.isdecimal() or int(window) < 1:
        print(f"Usage: python {sys.argv[0]} [WINDOW]", file=sys.stderr)
        sys.exit(2)
    unconfirmed, confirms, ends = set(), [], []
    tags = iter(range(1, COUNT + 1))  # RabbitMQ counts a channel's messages alike
    persistent = pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent)

    def opened(connection):
        connection.channel(on_open_callback=start)

    def start(channel):
        def send(_):
            while len(unconfirmed) < int(window) and (tag := next(tags, None)):
                text = f"payment {tag}"
                channel.basic_publish("", "royalties", text.encode(), persistent)
                unconfirmed.add(tag)

        def settle(frame):
            if isinstance(frame.method, pika.spec.Basic.Nack):
                ended(channel, pika.exceptions.NackError([]))
                return
            tag, multiple = frame.method.delivery_tag, frame.method.multiple
            # With multiple, one confirm stands for all messages up to its tag.
            settled = {each for each in unconfirmed if each <= tag and multiple}
            confirms.append(len(settled | {tag}))
            unconfirmed.difference_update(settled, {tag})
            send(frame)
            if not unconfirmed:
                ended(channel, None)

        channel.add_on_close_callback(ended)
        channel.queue_declare("royalties", durable=True)
        channel.confirm_delivery(settle, callback=send)

    def ended(_, reason):
        ends.append(reason)
        connection.ioloop.stop()

    began = time.monotonic()
    connection = pika.SelectConnection(NODES[0], opened, ended, ended)
    connection.ioloop.start()
    if ends[0]:
        print(f"{COUNT - sum(confirms)} of {COUNT} payments are not confirmed")
        raise ends[0]
    rate = COUNT / (time.monotonic() - began)
    print(f"Confirmed {COUNT} payments, {window} on their way at once: {rate:,.0f}/s")
    print(f"One confirm settled several payments: {max(confirms) > 1}")


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
