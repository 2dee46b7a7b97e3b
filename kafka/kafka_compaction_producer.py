"""Compaction, producer: Kafka keeps the last value of each key, and drops the others.

    producer --> [ anna low, ben low, anna normal, ben -, anna high, carla low ]
                                    |  Kafka compacts the log
                                    v
                 [ ben -, anna high, carla low ] --> consumer

Run each line in its own terminal tab, the last one when the producer has ended:

    python kafka_compaction_consumer.py
    python kafka_compaction_producer.py
    python kafka_compaction_consumer.py

The key is the user, the value is the sound quality that the user has chosen. No
value, a tombstone, means: this key is deleted.
"""

import os
import sys
import time

from dotenv import load_dotenv
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError

load_dotenv()
SERVERS = os.getenv("KAFKA_BOOTSTRAP_SERVERS", "localhost:9092").split(",")
if not all(server.rpartition(":")[2].strip().isdecimal() for server in SERVERS):
    sys.exit("KAFKA_BOOTSTRAP_SERVERS is malformed. Write it as .env.example does.")
# Four seconds until a Kafka that is down or silent fails, instead of thirty.
TIMEOUTS = {"bootstrap_timeout_ms": 4000, "request_timeout_ms": 4000}
KAFKA = {"bootstrap_servers": SERVERS, **TIMEOUTS}


def main():
    compacted = {
        "cleanup.policy": "compact",  # by default, messages go when they are a week old
        # Kafka compacts only closed segments of a log. By default, one is closed when
        # it is a week old or has 1 GB; so, when a message comes after this time.
        "segment.ms": "100",
        # Time for readers to see every message: what is younger stays.
        "min.compaction.lag.ms": "3000",
        "min.cleanable.dirty.ratio": "0.01",  # by default, half of the log must be new
    }
    with KafkaAdminClient(**KAFKA) as admin:
        topics = {"sound_settings": {"num_partitions": 1, "configs": compacted}}
        admin.create_topics(topics, raise_errors=False, wait_for_metadata=True)
    updates = ["anna low", "ben low", "anna normal", "ben", "anna high", "carla low"]
    with KafkaProducer(**KAFKA, delivery_timeout_ms=5000) as producer:
        for update in updates:
            user, _, quality = update.partition(" ")
            # An empty value would be a value like others: only None is a tombstone.
            value = quality.encode() or None
            sent = producer.send("sound_settings", value, user.encode()).get()
            print(f"Sent {user} {quality or 'deleted'}")
            if update == "anna normal":
                outdated = sent.offset  # the last one that Kafka will drop
            time.sleep(0.2)  # stands for the time between two updates
    wait_until_dropped(outdated)
    print("Kafka has dropped what was outdated")


def wait_until_dropped(offset):
    partition = TopicPartition("sound_settings", 0)
    with KafkaConsumer(**KAFKA) as consumer:
        consumer.assign([partition])
        found = offset
        while found == offset:
            # A message keeps its offset, so reading from a gap begins behind it.
            consumer.seek(partition, offset)
            batches = consumer.poll(timeout_ms=1000)
            if batches:
                found = batches[partition][0].offset
            else:
                # poll() would wait for ever for a Kafka that is gone. This fails then.
                consumer.bootstrap(timeout_ms=4000, refresh=True)
            time.sleep(0.2)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass  # Ctrl-C is how a script is stopped
    except (KafkaError, OSError) as error:
        where, why = ", ".join(SERVERS), type(error).__name__
        sys.exit(f"Kafka at {where}: {why}. Try: python -m lab status kafka")
