"""Strict order, producer: sends the steps of two orders, one after the other.

    producer --> [ vinyl_orders, queue 1: order 1, order 1, order 1 ] --+--> consumer
             --> [ vinyl_orders, queue 3: order 2, order 2, order 2 ] --+

Once: python rocketmq_setup.py. Then each line in its own terminal tab:

    python rocketmq_order_consumer.py
    python rocketmq_order_producer.py

The order is the message group: RocketMQ keeps the order within it, and no other.
"""

import logging.handlers
import os
import re
import sys
import time

from dotenv import load_dotenv
from grpc import RpcError
from rocketmq import ClientConfiguration, Credentials, Message, Producer
from rocketmq.v5.exception import ClientException

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


STEPS = [
    ("order 1", "placed"),
    ("order 2", "placed"),
    ("order 1", "paid"),
    ("order 2", "paid"),
    ("order 1", "shipped"),
    ("order 2", "shipped"),
]


def main():
    producer = Producer(ROCKETMQ)
    producer.startup()
    try:
        for order, step in STEPS:
            message = Message()
            message.topic = "vinyl_orders"
            message.body = f"{order} {step}".encode()
            # All of a group go to the same queue. One after the other: what is sent at
            # the same time has no order that could be kept.
            message.message_group = order
            producer.send(message)
            print(f"Sent {order} {step}")
            time.sleep(1)  # stands for the time that the customers take
    finally:
        producer.shutdown()  # its threads would keep this script from ending


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
