"""Transactions, producer: sends payments that must be booked exactly once.

    producer --> [ payments ] --> processor --> [ bookings ] --> consumer
                       ^              |
                       +-- offset ----+   in one transaction with the booking

Run each line in its own terminal tab:

    python kafka_transactions_producer.py
    python kafka_transactions_consumer.py read_committed
    python kafka_transactions_consumer.py read_uncommitted
    python kafka_transactions_processor.py

This end needs no transaction: each message stands for itself. Kafka notices when the
client sends one again because an answer got lost, and stores it once.
"""

import os
import sys

from dotenv import load_dotenv
from kafka import KafkaAdminClient, KafkaProducer
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
        topics = {"payments": {"num_partitions": 1}}
        admin.create_topics(topics, raise_errors=False, wait_for_metadata=True)
    with KafkaProducer(**KAFKA, delivery_timeout_ms=5000) as producer:
        for number in range(1, 4):
            payment = f"payment {number}"
            producer.send("payments", payment.encode()).get()
            print(f"Sent {payment}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass  # Ctrl-C is how a script is stopped
    except (KafkaError, OSError) as error:
        where, why = ", ".join(SERVERS), type(error).__name__
        sys.exit(f"Kafka at {where}: {why}. Try: python -m lab status kafka")
