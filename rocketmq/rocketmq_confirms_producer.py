"""Confirms, producer: waits for RocketMQ's receipt after each message.

    producer --> [ royalties ] --> group accountants --> consumer
    producer <-- send receipt: "stored, from here on it is mine"

Once: python rocketmq_setup.py. Then each line in its own terminal tab:

    python rocketmq_confirms_consumer.py
    python rocketmq_confirms_producer.py
    python rocketmq_confirms_async_producer.py 100
    python rocketmq_confirms_async_producer.py

Safe and slow: each message costs a journey to RocketMQ and to its disk. Three
messages fail on purpose, and none of them is stored.
"""

import logging.handlers
import os
import re
import sys
import time

from dotenv import load_dotenv
from grpc import RpcError
from rocketmq import ClientConfiguration, Credentials, Message, Producer
from rocketmq.v5.exception import ClientException, IllegalArgumentException

load_dotenv()
ENDPOINTS = os.getenv("ROCKETMQ_ENDPOINTS", "localhost:8081")
# One host, or several IP addresses: of several names the client takes none.
if not re.fullmatch(r"[^:;]+:\d+|[\d.]+:\d+(;[\d.]+:\d+)*", ENDPOINTS):
    sys.exit("ROCKETMQ_ENDPOINTS is malformed. Write it as .env.example does.")
ROCKETMQ = ClientConfiguration(ENDPOINTS, Credentials(), request_timeout=4)
ERRORS = ClientException, RpcError
# The client tells its log what its exceptions do not say: explain() reads it.
LOG = logging.handlers.BufferingHandler(1000)
logging.root.handlers = logging.getLogger("rocketmq-python-client").handlers = [LOG]
logging.captureWarnings(True)  # of a call that Ctrl-C has kept from starting

COUNT = 500


def main():
    producer = Producer(ROCKETMQ)
    producer.startup()
    try:
        began = time.monotonic()
        for number in range(1, COUNT + 1):
            send(producer, f"payment {number}".encode())
        rate = COUNT / (time.monotonic() - began)
        print(f"Confirmed {COUNT} payments one by one: {rate:,.0f}/s")
        refuse(producer, "no such topic", b"payment to nobody", topic="no_such_topic")
        # A group makes it a FIFO message, and royalties takes NORMAL ones.
        refuse(producer, "another type", b"payment in order", message_group="authors")
        refuse(producer, "over 4 MB", b"payment too large".ljust(5_000_000))
    finally:
        producer.shutdown()  # its threads would keep this script from ending


def send(producer, body, topic="royalties", **more):
    message = Message()
    message.topic, message.body = topic, body
    for name, value in more.items():
        setattr(message, name, value)
    producer.send(message)  # returns with the receipt


def refuse(producer, why, body, **more):
    try:
        send(producer, body, **more)
    except Exception as error:
        if type(error) is not IllegalArgumentException and "no_such" not in str(error):
            raise
        print(f"Refused, {why}: {body.decode().rstrip()}")


def explain(error):
    log = f"{error} " + " ".join(record.getMessage() for record in LOG.buffer)
    if wrong := re.search(r"(the topic|group not found|types, topic): ?([^\s,]+)", log):
        state = "of another type" if "types" in wrong[1] else "missing"
        return f"{wrong[2]} is {state}. Try: python rocketmq_setup.py"
    why = error.details() if isinstance(error, RpcError) else str(error).rstrip(".")
    if "failed to fetch" in why and "RpcError" in log:
        why = "no proxy answers (8081 is its port, 9876 the name server's)"
    return f"{why}. Try: python -m lab status rocketmq"


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass  # Ctrl-C is how a script is stopped
    except Exception as error:  # which the client raises, too
        if type(error) is not Exception and not isinstance(error, ERRORS):
            raise  # a bug in this script
        sys.exit(f"RocketMQ at {ENDPOINTS}: {explain(error)}")
