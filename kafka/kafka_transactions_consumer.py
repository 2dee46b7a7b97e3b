"""Transactions, consumer: reads only what has been committed, or everything.

    producer --> [ payments ] --> processor --> [ bookings ] --> consumer
                       ^              |
                       +-- offset ----+   in one transaction with the booking

Run each line in its own terminal tab:

    python kafka_transactions_producer.py
    python kafka_transactions_consumer.py read_committed
    python kafka_transactions_consumer.py read_uncommitted
    python kafka_transactions_processor.py

What a killed processor has written stays in the log, marked as aborted: read_committed
leaves it out. read_uncommitted, which is Kafka's default, reads it too.
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
    level = "".join(sys.argv[1:]) or "read_committed"
    if level not in ("read_committed", "read_uncommitted"):
        usage = f"Usage: python {sys.argv[0]} [read_committed|read_uncommitted]"
        print(usage, file=sys.stderr)
        sys.exit(2)
    with KafkaAdminClient(**KAFKA) as admin:
        topics = {"bookings": {"num_partitions": 1}}
        admin.create_topics(topics, raise_errors=False, wait_for_metadata=True)
    with KafkaConsumer(
        "bookings",
        **KAFKA,
        auto_offset_reset="earliest",
        # Committed: it stops at the first open transaction until that one has ended.
        isolation_level=level,
    ) as consumer:
        ready = f"Reading with {level}. Press Ctrl-C to stop."
        for message in receive(consumer, ready):
            print(f"Read {(message.value or b'').decode(errors='replace')}")


def receive(consumer, ready):
    batches = {}
    while True:
        if not batches:
            # poll() would wait for ever for a Kafka that is gone. This fails then.
            consumer.bootstrap(timeout_ms=4000, refresh=True)
        batches = consumer.poll(timeout_ms=500)
        if ready and consumer.assignment():
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
