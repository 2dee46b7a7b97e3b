"""Confirms, consumer: counts the payments that arrive.

    producer --> [ royalties ] --> consumer
    producer <-- acknowledgement: "stored, from here on it is mine"

Run each line in its own terminal tab:

    python kafka_confirms_consumer.py
    python kafka_confirms_producer.py
    python kafka_confirms_async_producer.py 100
    python kafka_confirms_async_producer.py

What was confirmed arrives, whichever producer sent it.
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
    with KafkaAdminClient(**KAFKA) as admin:
        admin.create_topics(["royalties"], raise_errors=False, wait_for_metadata=True)
    with KafkaConsumer(
        "royalties",
        **KAFKA,
        group_id="accountants",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        session_timeout_ms=6000,
    ) as consumer:
        payments = receive(consumer, "Waiting for payments. Press Ctrl-C to stop.")
        for received, _ in enumerate(payments, start=1):
            if received % 2000 == 0:
                consumer.commit()
                print(f"Received {received} payments")


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
