"""Partitions, producer: the key of a message chooses its partition.

                                  +--> partition 0 --+--> consumer 1
    producer --> [ artist_plays ]-+--> partition 1 --+
                  key: artist     +--> partition 2 -----> consumer 2

Run each line in its own terminal tab:

    python kafka_partitions_consumer.py
    python kafka_partitions_consumer.py
    python kafka_partitions_producer.py

Messages with the same key go to the same partition, in the order in which they were
sent. Order across partitions is what Kafka gives up for speed.
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

PLAYS = [
    ("The Sleepers", "Night Train"),
    ("Salt and Tar", "Harbour Lights"),
    ("Blue Hour", "Glass Roof"),
    ("The Sleepers", "Last Stop"),
    ("Lena Voss", "Paper Boats"),
    ("Salt and Tar", "Low Tide"),
    ("Blue Hour", "Sugar Rain"),
    ("The Sleepers", "Morning Fog"),
    ("Lena Voss", "Stone Bridge"),
]


def main():
    with KafkaAdminClient(**KAFKA) as admin:
        # Fixed from the start: with another number, keys go to other partitions.
        topics = {"artist_plays": {"num_partitions": 3}}
        admin.create_topics(topics, raise_errors=False, wait_for_metadata=True)
    with KafkaProducer(**KAFKA, delivery_timeout_ms=5000) as producer:
        for artist, title in PLAYS:
            # Without a key, an artist's plays would be anywhere, and in no order.
            sent = producer.send("artist_plays", title.encode(), key=artist.encode())
            print(f"Sent {artist}, {title} to partition {sent.get().partition}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass  # Ctrl-C is how a script is stopped
    except (KafkaError, OSError) as error:
        where, why = ", ".join(SERVERS), type(error).__name__
        sys.exit(f"Kafka at {where}: {why}. Try: python -m lab status kafka")
