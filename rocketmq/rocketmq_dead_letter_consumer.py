"""Dead letter, consumer: gives back what it cannot encode.

    producer --> [ uploads ] --> group upload_encoders --> consumer
                                   | three attempts failed
                                   v
                      [ %DLQ%upload_encoders ] --> reader

Once: python rocketmq_setup.py. Then each line in its own terminal tab:

    python rocketmq_dead_letter_reader.py
    python rocketmq_dead_letter_consumer.py
    python rocketmq_dead_letter_producer.py

RocketMQ counts the attempts. The group has two retries (retryMaxTimes, set by the
setup): after the third failure the message goes to the topic of its dead letters.
"""

import logging.handlers
import os
import re
import sys

from dotenv import load_dotenv
from grpc import RpcError
from rocketmq import ClientConfiguration, Credentials, SimpleConsumer
from rocketmq.v5.exception import ClientException, InternalErrorException

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


def main():
    consumer = SimpleConsumer(ROCKETMQ, "upload_encoders", await_duration=1)
    consumer.startup()
    try:
        consumer.subscribe("uploads")
        for message in receive(consumer, "Waiting for uploads. Press Ctrl-C to stop."):
            upload = message.body.decode(errors="replace")
            if upload.startswith("track"):
                consumer.ack(message)
                print(f"Encoded {upload}")
            else:
                print(f"Failed {upload}, attempt {message.delivery_attempt}")
                # No acknowledgement: it comes again. In a second, not after the 10
                # of receive(). An acknowledgement would throw it away for good.
                consumer.change_invisible_duration(message, 1)
    finally:
        consumer.shutdown()  # its threads would keep this script from ending


def receive(consumer, ready):
    while True:
        try:
            # One task, hidden from the other workers for 10 seconds.
            messages = consumer.receive(1, 10)
        except InternalErrorException:
            # For a moment after the start RocketMQ does not know this consumer yet.
            if not ready or "group not found" in str(LOG.buffer):
                raise
            continue
        if ready:
            print(ready)
            ready = None
        yield from messages or ()


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
