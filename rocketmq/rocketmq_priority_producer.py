"""Priority, producer: sends free and premium listeners' requests.

    producer --> [ song_requests: 3 before 0 ] --> consumer

Once: python rocketmq_setup.py. Then each line in its own terminal tab:

    python rocketmq_priority_producer.py
    python rocketmq_priority_consumer.py

Priorities count only while messages wait. Start the consumer first, and each
request is delivered as it comes.
"""

import logging.handlers
import os
import re
import sys

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


REQUESTS = [
    (0, "free request 1"),
    (0, "free request 2"),
    (3, "premium request 3"),
    (0, "free request 4"),
    (3, "premium request 5"),
]


def main():
    producer = Producer(ROCKETMQ)
    producer.startup()
    try:
        for priority, text in REQUESTS:
            message = Message()
            message.topic = "song_requests"
            message.body = text.encode()
            # The number of the queue that it goes to: four queues, four priorities.
            message.priority = priority
            producer.send(message)
            print(f"Sent {text}")
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
