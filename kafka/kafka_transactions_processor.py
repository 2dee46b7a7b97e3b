"""Transactions, processor: books each payment exactly once, even if it is killed.

    producer --> [ payments ] --> processor --> [ bookings ] --> consumer
                       ^              |
                       +-- offset ----+   in one transaction with the booking

Run each line in its own terminal tab:

    python kafka_transactions_producer.py
    python kafka_transactions_consumer.py read_committed
    python kafka_transactions_consumer.py read_uncommitted
    python kafka_transactions_processor.py

Kill it before a commit and start it again: Kafka aborts the open transaction, and
the payment is booked anew, as soon as the dead one has been missed for 6 seconds.
"""

import os
import signal
import sys
import time
from itertools import chain

from dotenv import load_dotenv
from kafka import (
    KafkaAdminClient,
    KafkaConsumer,
    KafkaProducer,
    OffsetAndMetadata,
    TopicPartition,
)
from kafka.errors import KafkaError, ProducerFencedError

load_dotenv()
SERVERS = os.getenv("KAFKA_BOOTSTRAP_SERVERS", "localhost:9092").split(",")
if not all(server.rpartition(":")[2].strip().isdecimal() for server in SERVERS):
    sys.exit("KAFKA_BOOTSTRAP_SERVERS is malformed. Write it as .env.example does.")
# Milliseconds until a Kafka that is down or silent fails, instead of 30 seconds.
KAFKA = {
    "bootstrap_servers": SERVERS,
    "bootstrap_timeout_ms": 5000,
    "request_timeout_ms": 5000,
}


def main():
    with KafkaAdminClient(**KAFKA) as admin:
        topics = {"payments": {"num_partitions": 1}, "bookings": {"num_partitions": 1}}
        admin.create_topics(topics, raise_errors=False, wait_for_metadata=True)
    with (
        KafkaProducer(
            **KAFKA,
            delivery_timeout_ms=6000,
            max_block_ms=5000,
            transactional_id="bookkeeper",  # fixed: so Kafka knows its predecessor
            transaction_timeout_ms=10_000,  # then Kafka aborts what nobody has ended
        ) as producer,
        KafkaConsumer(
            "payments",
            **KAFKA,
            group_id="bookkeepers",
            auto_offset_reset="earliest",
            enable_auto_commit=False,  # the transaction commits the offsets
            isolation_level="read_committed",
            max_poll_records=1,
            session_timeout_ms=6000,
            heartbeat_interval_ms=1000,
        ) as consumer,
    ):
        # Aborts what a predecessor has left open. One that still lives, a zombie, is
        # fenced: Kafka refuses whatever it wants to write or commit from now on.
        producer.init_transactions()
        signal.signal(signal.SIGALRM, give_up)
        for message in receive(consumer, "Waiting for payments. Press Ctrl-C to stop."):
            signal.alarm(8)  # seconds. commit_transaction() itself has no limit.
            try:
                book(producer, consumer, message)
            except ProducerFencedError:
                sys.exit("Fenced: a newer processor has started.")
            signal.alarm(0)


def book(producer, consumer, message):
    payment = message.value or b""
    producer.begin_transaction()
    producer.send("bookings", payment).get()
    # The offset belongs to the transaction: booking and offset count both, or neither.
    partition = TopicPartition(message.topic, message.partition)
    offsets = {partition: OffsetAndMetadata(message.offset + 1)}
    producer.send_offsets_to_transaction(offsets, consumer.group_metadata())
    print(f"Wrote {payment.decode(errors='replace')}")
    time.sleep(1)  # time to kill it in the middle of the transaction
    producer.commit_transaction()
    print(f"Committed {payment.decode(errors='replace')}")


def give_up(*_):
    raise TimeoutError("Kafka is gone")


def receive(consumer, ready):
    while True:
        batches = consumer.poll(timeout_ms=1000)
        if ready and consumer.assignment():
            print(ready)
            ready = None
        if not batches:
            # poll() would wait for ever for a Kafka that is gone. This fails then.
            consumer.bootstrap(timeout_ms=5000, refresh=True)
        yield from chain.from_iterable(batches.values())


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass  # Ctrl-C is how a script is stopped
    except (KafkaError, OSError) as error:
        where, why = ", ".join(SERVERS), type(error).__name__
        sys.exit(f"Kafka at {where}: {why}. Try: python -m lab status kafka")
