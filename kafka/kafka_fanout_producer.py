"""Fanout, producer: announces to everybody who listens, whoever that is.

                                   +--> listener 1, who reads all of it
    producer --> [ new_releases ] -+
                                   +--> listener 2, who reads all of it

Run each line in its own terminal tab:

    python kafka_fanout_consumer.py
    python kafka_fanout_consumer.py
    python kafka_fanout_producer.py

Kafka keeps the announcements, with listeners or without. It does not know who reads
them, so it cannot tell the producer that nobody does.
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

ANNOUNCEMENTS = ["album Night Train", "single Harbour Lights", "tour of six cities"]


def main():
    with KafkaAdminClient(**KAFKA) as admin:
        topics = {"new_releases": {"num_partitions": 1}}
        admin.create_topics(topics, raise_errors=False, wait_for_metadata=True)
    with KafkaProducer(**KAFKA, delivery_timeout_ms=5000) as producer:
        for announcement in ANNOUNCEMENTS:
            producer.send("new_releases", announcement.encode()).get()
            print(f"Announced {announcement}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass  # Ctrl-C is how a script is stopped
    except (KafkaError, OSError) as error:
        where, why = ", ".join(SERVERS), type(error).__name__
        sys.exit(f"Kafka at {where}: {why}. Try: python -m lab status kafka")
