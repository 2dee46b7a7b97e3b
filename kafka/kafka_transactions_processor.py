"""Transactions, processor: books each payment exactly once, even if it is killed.

    producer --> [ payments ] --> processor --> [ bookings ] --> consumer
                       ^              |
                       +-- offset ----+   in one transaction with the booking

Run each line in its own terminal tab:

    python kafka_transactions_producer.py
    python kafka_transactions_consumer.py read_committed
    python kafka_transactions_consumer.py read_uncommitted
    python kafka_transactions_processor.py

Kill it before a commit and start it again: Kafka aborts the transaction that it left
open, and the payment is booked anew. Only one processor may run with this id.
"""

import os
import signal
import sys
import time
from threading import Thread

from dotenv import load_dotenv
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError, ProducerFencedError
from kafka.structs import OffsetAndMetadata

load_dotenv()
SERVERS = os.getenv("KAFKA_BOOTSTRAP_SERVERS", "localhost:9092").split(",")
if not all(server.rpartition(":")[2].strip().isdecimal() for server in SERVERS):
    sys.exit("KAFKA_BOOTSTRAP_SERVERS is malformed. Write it as .env.example does.")
# Four seconds until a Kafka that is down or silent fails, instead of thirty.
TIMEOUTS = {"bootstrap_timeout_ms": 4000, "request_timeout_ms": 4000}
KAFKA = {"bootstrap_servers": SERVERS, **TIMEOUTS}


def main():
    with KafkaAdminClient(**KAFKA) as admin:
        topics = {"payments": {"num_partitions": 1}, "bookings": {"num_partitions": 1}}
        admin.create_topics(topics, raise_errors=False, wait_for_metadata=True)
    # By the fixed id Kafka knows a predecessor. The timeout is for what nobody ends:
    # until Kafka has aborted it, readers of committed messages wait in front of it.
    writing = {"transactional_id": "bookkeeper", "transaction_timeout_ms": 10_000}
    producer = KafkaProducer(**KAFKA, **writing, max_block_ms=5000)
    # Committed on a timer, an offset could count without the booking that goes with it.
    reading = {"auto_offset_reset": "earliest", "enable_auto_commit": False}
    payments = TopicPartition("payments", 0)
    signal.signal(signal.SIGALRM, give_up)
    with KafkaConsumer(**KAFKA, **reading, group_id="bookkeepers") as consumer:
        # Not subscribe(): the id stands for the one processor of this partition.
        consumer.assign([payments])
        try:
            # Aborts what a predecessor has left open. One that still lives, a zombie,
            # is fenced: Kafka refuses whatever it wants to write or commit from now on.
            producer.init_transactions()
            print("Waiting for payments. Press Ctrl-C to stop.")
            while True:
                # poll() and commit_transaction() would wait for ever for a Kafka that
                # is gone. The first line fails then, the second one allows 7 seconds.
                consumer.bootstrap(timeout_ms=4000, refresh=True)
                signal.alarm(7)
                for message in consumer.poll(1000, max_records=1).get(payments, []):
                    payment = message.value or b""
                    producer.begin_transaction()
                    producer.send("bookings", payment).get()
                    # Booking and offset are in one transaction: both count, or neither.
                    read = {payments: OffsetAndMetadata(message.offset + 1)}
                    producer.send_offsets_to_transaction(read, "bookkeepers")
                    print(f"Wrote {payment.decode(errors='replace')}")
                    time.sleep(1)  # time to kill it in the middle of the transaction
                    producer.commit_transaction()
                    print(f"Committed {payment.decode(errors='replace')}")
        except ProducerFencedError:
            sys.exit("Fenced: another processor has started with the same id.")
        finally:
            signal.alarm(0)
            # In a thread that is left behind, because close() can wait for ever, too.
            Thread(target=producer.close, daemon=True).start()


def give_up(*_):
    raise TimeoutError


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass  # Ctrl-C is how a script is stopped
    except (KafkaError, OSError) as error:
        where, why = ", ".join(SERVERS), type(error).__name__
        sys.exit(f"Kafka at {where}: {why}. Try: python -m lab status kafka")
