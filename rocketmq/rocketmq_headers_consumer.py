"""Headers, consumer: gets the booklets whose headers match.

                      all: pdf AND fr +--> group booklets_all
    producer --> [ booklets ] --------+
                      any: pdf OR fr  +--> group booklets_any

Once: python rocketmq_setup.py. Then each line in its own terminal tab:

    python rocketmq_headers_consumer.py all format=pdf language=fr
    python rocketmq_headers_consumer.py any format=pdf language=fr
    python rocketmq_headers_producer.py

RocketMQ's word for headers is properties. An SQL filter over them does it in RocketMQ:
what does not match is never sent here. Without an argument: all format=pdf
language=fr.
"""

import logging.handlers
import os
import re
import sys

from dotenv import load_dotenv
from grpc import RpcError
from rocketmq import ClientConfiguration, Credentials, FilterExpression, SimpleConsumer
from rocketmq.grpc_protocol import FilterType
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
    match, *pairs = sys.argv[1:] or ["all", "format=pdf", "language=fr"]
    wanted = [re.fullmatch(r"(\w+)=([^']+)", pair) for pair in pairs]
    if match not in ("all", "any") or not wanted or not all(wanted):
        print(f"Usage: python {sys.argv[0]} all|any NAME=VALUE ...", file=sys.stderr)
        sys.exit(2)
    operator = " AND " if match == "all" else " OR "
    sql = operator.join(pair.expand(r"\1 = '\2'") for pair in wanted)
    # In parentheses: else RocketMQ reads as far as it understands, and drops the rest.
    wish = FilterExpression(f"({sql})", FilterType.SQL)
    consumer = SimpleConsumer(ROCKETMQ, f"booklets_{match}", await_duration=1)
    consumer.startup()
    try:
        consumer.subscribe("booklets", wish)
        ready = f"Waiting for {match} of {' '.join(pairs)}. Press Ctrl-C to stop."
        for message in receive(consumer, ready):
            title = message.body.decode(errors="replace")
            header = message.properties.get
            print(f"Received {title} ({header('format')} {header('language')})")
            consumer.ack(message)
    finally:
        consumer.shutdown()  # its threads would keep this script from ending


def receive(consumer, ready):
    while True:
        try:
            # One message, hidden from the rest of the group for 10 seconds.
            messages = consumer.receive(1, 10)
        except InternalErrorException as error:
            if "parse" in str(error):
                sys.exit("RocketMQ takes a NAME for a word of SQL. Try another one.")
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
