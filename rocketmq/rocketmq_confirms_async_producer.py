"""Confirms, asynchronous producer: many messages on their way at once.

    producer --> [ royalties ] --> group accountants --> consumer
    producer <-- send receipt: "stored, from here on it is mine"

Once: python rocketmq_setup.py. Then each line in its own terminal tab:

    python rocketmq_confirms_consumer.py
    python rocketmq_confirms_producer.py
    python rocketmq_confirms_async_producer.py 100
    python rocketmq_confirms_async_producer.py

At most 100 messages are unconfirmed at a time, without a number all of them: less
waiting, more speed, and more to send again if RocketMQ dies.
"""

import logging.handlers
import os
import re
import sys
import threading
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

COUNT = 500


def main():
    window = "".join(sys.argv[1:]) or str(COUNT)
    if not window.isdecimal() or int(window) < 1:
        print(f"Usage: python {sys.argv[0]} [WINDOW]", file=sys.stderr)
        sys.exit(2)
    window = min(int(window), COUNT)
    room = threading.Semaphore(window)
    confirmed, failed = [], []

    def settle(receipt):  # in a thread of the client's
        (failed if receipt.exception() else confirmed).append(receipt)
        room.release()

    producer = Producer(ROCKETMQ)
    producer.startup()
    try:
        began = time.monotonic()
        for number in range(1, COUNT + 1):
            room.acquire()
            if failed:
                room.release()
                break
            message = Message()
            message.topic = "royalties"
            message.body = f"payment {number}".encode()
            producer.send_async(message).add_done_callback(settle)
        for _ in range(window):
            room.acquire()  # until there is an answer to each
        rate = COUNT / (time.monotonic() - began)
    finally:
        producer.shutdown()  # its threads would keep this script from ending
    if failed:
        print(f"{COUNT - len(confirmed)} of {COUNT} payments are not confirmed")
        raise failed[0].exception()
    print(f"Confirmed {COUNT} payments, {window} on their way at once: {rate:,.0f}/s")


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
