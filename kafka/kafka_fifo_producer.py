"""FIFO, producer: sends numbered tracks that are to be played in this order.

    producer --> [ playlist_single, partition 0 ] --> the one active player

Run each line in its own terminal tab:

    python kafka_fifo_consumer.py
    python kafka_fifo_consumer.py
    python kafka_fifo_producer.py

A partition keeps the order in which messages came in; between partitions there is
none. The first track is a long one: with two partitions (add the word split to all
three lines) it ends last.
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

TRACKS = ["long track 1", "track 2", "track 3", "track 4", "track 5", "track 6"]


def main():
    mode = "".join(sys.argv[1:]) or "single"
    if mode not in ("single", "split"):
        print(f"Usage: python {sys.argv[0]} [single|split]", file=sys.stderr)
        sys.exit(2)
    topic = f"playlist_{mode}"
    with KafkaAdminClient(**KAFKA) as admin:
        topics = {topic: {"num_partitions": 2 if mode == "split" else 1}}
        admin.create_topics(topics, raise_errors=False, wait_for_metadata=True)
    with KafkaProducer(**KAFKA, delivery_timeout_ms=5000) as producer:
        partitions = sorted(producer.partitions_for(topic))
        for number, track in enumerate(TRACKS):
            # The long track goes to the first partition, all others to the last one.
            partition = partitions[0 if number == 0 else -1]
            producer.send(topic, track.encode(), partition=partition).get()
            print(f"Sent {track}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass  # Ctrl-C is how a script is stopped
    except (KafkaError, OSError) as error:
        where, why = ", ".join(SERVERS), type(error).__name__
        sys.exit(f"Kafka at {where}: {why}. Try: python -m lab status kafka")
