"""Fanout, consumer: every listener gets every announcement.

                                   +--> listener 1, who reads all of it
    producer --> [ new_releases ] -+
                                   +--> listener 2, who reads all of it

Run each line in its own terminal tab:

    python kafka_fanout_consumer.py
    python kafka_fanout_consumer.py
    python kafka_fanout_producer.py

Reading takes nothing away, and a listener without a group shares with nobody. Who
comes late has missed nothing for good: with the word earliest it starts with the
oldest announcement that Kafka still keeps, without it with the next one.
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
    start = "".join(sys.argv[1:]) or "latest"
    if start not in ("latest", "earliest"):
        print(f"Usage: python {sys.argv[0]} [latest|earliest]", file=sys.stderr)
        sys.exit(2)
    with KafkaAdminClient(**KAFKA) as admin:
        topics = {"new_releases": {"num_partitions": 1}}
        admin.create_topics(topics, raise_errors=False, wait_for_metadata=True)
    # No group_id: in a group each announcement would go to one of the listeners.
    with KafkaConsumer("new_releases", **KAFKA, auto_offset_reset=start) as consumer:
        ready = "Listening for announcements. Press Ctrl-C to stop."
        for message in receive(consumer, ready):
            print(f"Heard {(message.value or b'').decode(errors='replace')}")


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
