"""Work queue, producer: sends six tasks, each for one of the workers.

    producer --+--> [ music_tasks, partition 0 ] --> worker 1
               +--> [ music_tasks, partition 1 ] --> worker 2

Run each line in its own terminal tab:

    python kafka_consumer.py
    python kafka_consumer.py
    python kafka_producer.py

On Kafka the producer shares out the work: it chooses the partition. Start it first
if you like: the topic keeps the tasks until a worker comes, and also afterwards.
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
        topics = {"music_tasks": {"num_partitions": 2}}
        admin.create_topics(topics, raise_errors=False, wait_for_metadata=True)
    with KafkaProducer(**KAFKA, delivery_timeout_ms=5000) as producer:
        partitions = sorted(producer.partitions_for("music_tasks"))
        for number in range(6):
            track = f"track {number + 1}"
            # In turn. Without a partition or a key, one of them would get all six.
            partition = partitions[number % len(partitions)]
            sent = producer.send("music_tasks", track.encode(), partition=partition)
            sent.get()  # waits until Kafka has stored it, and fails where it cannot
            print(f"Sent {track}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass  # Ctrl-C is how a script is stopped
    except (KafkaError, OSError) as error:
        where, why = ", ".join(SERVERS), type(error).__name__
        sys.exit(f"Kafka at {where}: {why}. Try: python -m lab status kafka")
