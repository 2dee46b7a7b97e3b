"""Confirms, producer: waits for Kafka's acknowledgement after each message.

    producer --> [ royalties ] --> consumer
    producer <-- acknowledgement: "stored, from here on it is mine"

Run each line in its own terminal tab:

    python kafka_confirms_consumer.py
    python kafka_confirms_producer.py
    python kafka_confirms_async_producer.py 100
    python kafka_confirms_async_producer.py

Safe and slow: each message costs a journey to Kafka and back. Two messages fail on
purpose: one for a topic that does not exist, one that is too large for its topic.
"""

import os
import sys
import time

from dotenv import load_dotenv
from kafka import KafkaAdminClient, KafkaProducer
from kafka.errors import KafkaError, KafkaTimeoutError, MessageSizeTooLargeError

load_dotenv()
SERVERS = os.getenv("KAFKA_BOOTSTRAP_SERVERS", "localhost:9092").split(",")
if not all(server.rpartition(":")[2].strip().isdecimal() for server in SERVERS):
    sys.exit("KAFKA_BOOTSTRAP_SERVERS is malformed. Write it as .env.example does.")
# Four seconds until a Kafka that is down or silent fails, instead of thirty.
TIMEOUTS = {"bootstrap_timeout_ms": 4000, "request_timeout_ms": 4000}
KAFKA = {"bootstrap_servers": SERVERS, **TIMEOUTS}

COUNT = 2000
SMALL = {"max.message.bytes": "100"}


def main():
    with KafkaAdminClient(**KAFKA) as admin:
        topics = {"royalties": {}, "small_royalties": {"configs": SMALL}}
        admin.create_topics(topics, raise_errors=False, wait_for_metadata=True)
    # acks="all" and idempotence are the default: stored by all replicas in sync, and
    # once, also where the producer has to send it again.
    with KafkaProducer(
        **KAFKA, delivery_timeout_ms=5000, max_block_ms=2000
    ) as producer:
        began = time.monotonic()
        for number in range(1, COUNT + 1):
            producer.send("royalties", f"payment {number}".encode()).get()
        rate = COUNT / (time.monotonic() - began)
        print(f"Confirmed {COUNT} payments one by one: {rate:,.0f}/s")
        try:
            producer.send("no_such_topic", b"payment to nobody").get()
        except KafkaTimeoutError:  # of max_block_ms: it looks for the topic that long
            print("Came back, no topic takes it: payment to nobody")
        try:
            producer.send("small_royalties", b"payment too large" * 10).get()
        except MessageSizeTooLargeError:
            print("Refused by Kafka: payment too large")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass  # Ctrl-C is how a script is stopped
    except (KafkaError, OSError) as error:
        where, why = ", ".join(SERVERS), type(error).__name__
        sys.exit(f"Kafka at {where}: {why}. Try: python -m lab status kafka")
