"""Rebalance, producer: sends ratings to two partitions in turn.

                              +--> partition 0 --> worker 1
    producer --> [ ratings ] -+
                              +--> partition 1 --> worker 2, when there is one

Run each line in its own terminal tab:

    python kafka_rebalance_consumer.py
    python kafka_rebalance_consumer.py
    python kafka_rebalance_producer.py

The producer knows nothing of workers. Who reads a partition is the group's business.
"""

import os
import sys
import time

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
        topics = {"ratings": {"num_partitions": 2}}
        admin.create_topics(topics, raise_errors=False, wait_for_metadata=True)
    with KafkaProducer(**KAFKA, delivery_timeout_ms=5000) as producer:
        for number in range(4):
            rating, partition = f"rating {number + 1}", number % 2
            producer.send("ratings", rating.encode(), partition=partition).get()
            print(f"Sent {rating} to partition {partition}")
            time.sleep(0.5)  # so that you can watch


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass  # Ctrl-C is how a script is stopped
    except (KafkaError, OSError) as error:
        where, why = ", ".join(SERVERS), type(error).__name__
        sys.exit(f"Kafka at {where}: {why}. Try: python -m lab status kafka")
