"""Routing, consumer: gets only the severities it asks for.

                                 "error || critical" +--> consumer 1
    producer --> [ service_logs ] -------------------+
                                              "info" +--> consumer 2

Once: python rocketmq_setup.py. Then each line in its own terminal tab:

    python rocketmq_routing_consumer.py error critical
    python rocketmq_routing_consumer.py info
    python rocketmq_routing_producer.py

Each message has a tag, and RocketMQ hands out those whose tag a consumer asks for. A
group has one wish: here it is named after the first severity. Without an argument it
is the group of those who want all four.
"""

import logging.handlers
import os
import re
import sys

from dotenv import load_dotenv
from grpc import RpcError
from rocketmq import ClientConfiguration, Credentials, FilterExpression, SimpleConsumer
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

SEVERITIES = ["info", "warning", "error", "critical"]


def main():
    wanted = [each for each in SEVERITIES if each in sys.argv[1:]] or SEVERITIES
    if not set(sys.argv[1:]) <= set(SEVERITIES):
        usage = f"{sys.argv[0]} [{'|'.join(SEVERITIES)} ...]"
        print(f"Usage: python {usage}", file=sys.stderr)
        sys.exit(2)
    # Consumers of one group that ask for different tags would lose messages: what is
    # shown to one of them is dealt with for the group, also where it is not wanted.
    group = "log_readers_" + ("all" if wanted == SEVERITIES else wanted[0])
    consumer = SimpleConsumer(ROCKETMQ, group, await_duration=1)
    consumer.startup()
    try:
        consumer.subscribe("service_logs", FilterExpression(" || ".join(wanted)))
        ready = f"Waiting for {', '.join(wanted)}. Press Ctrl-C to stop."
        for message in receive(consumer, ready):
            print(f"Received {message.tag}: {message.body.decode(errors='replace')}")
            consumer.ack(message)
    finally:
        consumer.shutdown()  # its threads would keep this script from ending


def receive(consumer, ready):
    while True:
        try:
            # One message, hidden from the rest of the group for 10 seconds.
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
