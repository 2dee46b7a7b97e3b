"""Headers, consumer: keeps the booklets whose headers match.

    producer --> [ booklets ] --+--> consumer 1 keeps: all, pdf AND fr
                                +--> consumer 2 keeps: any, pdf OR fr

Run each line in its own terminal tab:

    python kafka_headers_consumer.py all format=pdf language=fr
    python kafka_headers_consumer.py any format=pdf language=fr
    python kafka_headers_producer.py

Kafka does not look into headers: every booklet travels to every consumer, and the
consumer throws away what it did not ask for. Without an argument it asks for:
all format=pdf language=fr.
"""

import os
import sys
from itertools import chain

from dotenv import load_dotenv
from kafka import KafkaAdminClient, KafkaConsumer
from kafka.errors import KafkaError

load_dotenv()
SERVERS = os.getenv("KAFKA_BOOTSTRAP_SERVERS", "localhost:9092").split(",")
if not all(server.rpartition(":")[2].strip().isdecimal() for server in SERVERS):
    sys.exit("KAFKA_BOOTSTRAP_SERVERS is malformed. Write it as .env.example does.")
# Four seconds until a Kafka that is down or silent fails, instead of thirty.
TIMEOUTS = {"bootstrap_timeout_ms": 4000, "request_timeout_ms": 4000}
KAFKA = {"bootstrap_servers": SERVERS, **TIMEOUTS}


def main():
    match, *pairs = sys.argv[1:] or ["all", "format=pdf", "language=fr"]
    wanted = dict(pair.split("=", 1) for pair in pairs if pair.find("=") > 0)
    if match not in ("all", "any") or not pairs or len(wanted) < len(pairs):
        print(f"Usage: python {sys.argv[0]} all|any NAME=VALUE ...", file=sys.stderr)
        sys.exit(2)
    with KafkaAdminClient(**KAFKA) as admin:
        admin.create_topics(["booklets"], raise_errors=False, wait_for_metadata=True)
    with KafkaConsumer("booklets", **KAFKA, auto_offset_reset="latest") as consumer:
        ready = f"Waiting for {match} of {' '.join(pairs)}. Press Ctrl-C to stop."
        for message in receive(consumer, ready):
            headers = {
                name: (value or b"").decode(errors="replace")
                for name, value in message.headers
            }
            found = [headers.get(name) == value for name, value in wanted.items()]
            if all(found) if match == "all" else any(found):
                title = (message.value or b"").decode(errors="replace")
                print(f"Received {title} ({' '.join(headers.values())})")


def receive(consumer, ready):
    batches = {}
    while True:
        if not batches:
            # poll() would wait for ever for a Kafka that is gone. This fails then.
            consumer.bootstrap(timeout_ms=4000, refresh=True)
        batches = consumer.poll(timeout_ms=500)
        if ready and consumer.assignment():
            for partition in consumer.assignment():
                consumer.position(partition)  # fixes what "latest" is, now
            print(ready)
            ready = None
        yield from chain.from_iterable(batches.values())


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass  # Ctrl-C is how a script is stopped
    except (KafkaError, OSError) as error:
        where, why = ", ".join(SERVERS), type(error).__name__
        sys.exit(f"Kafka at {where}: {why}. Try: python -m lab status kafka")
