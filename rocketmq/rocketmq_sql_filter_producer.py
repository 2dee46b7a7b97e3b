"""SQL filter, producer: sends new tracks with properties to choose by.

                          bpm BETWEEN 110 AND 130   +--> group party
    producer --> [ new_tracks ] --------------------+
                          genre IN ('folk', 'rock') +--> group radio

Once: python rocketmq_setup.py. Then each line in its own terminal tab:

    python rocketmq_sql_filter_consumer.py party "bpm BETWEEN 110 AND 130"
    python rocketmq_sql_filter_consumer.py radio "genre IN ('folk', 'rock')"
    python rocketmq_sql_filter_producer.py

A property is a name and some text. Where a condition compares it with a number, it is
read as one. Not every track has every property.
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

TRACKS = [
    ("Night Train", {"genre": "rock", "bpm": "128", "year": "1987"}),
    ("Sugar Rain", {"genre": "pop", "bpm": "124", "year": "2021", "label": "Sweet"}),
    ("Low Tide", {"genre": "ambient", "year": "1995"}),
    ("Harbour Lights", {"genre": "folk", "bpm": "96", "year": "1979"}),
    ("Paper Boats", {"genre": "rock", "bpm": "110", "year": "2019", "label": "Dock"}),
]


def main():
    producer = Producer(ROCKETMQ)
    producer.startup()
    try:
        for title, properties in TRACKS:
            message = Message()
            message.topic = "new_tracks"
            message.body = title.encode()
            for name, value in properties.items():
                message.add_property(name, value)
            producer.send(message)
            print(f"Sent {title} ({' '.join(properties.values())})")
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
