"""Compaction, consumer: reads what is left of the log, and then what comes.

    producer --> [ anna low, ben low, anna normal, ben -, anna high, carla low ]
                                    |  Kafka compacts the log
                                    v
                 [ ben -, anna high, carla low ] --> consumer

Run each line in its own terminal tab, the last one when the producer has ended:

    python kafka_compaction_consumer.py
    python kafka_compaction_producer.py
    python kafka_compaction_consumer.py

The first consumer sees every update, the second one the last of each user: enough to
know all the settings. Kafka compacts some seconds after a message has been sent.
"""

import os
import sys
from itertools import chain

from dotenv import load_dotenv
from kafka import KafkaAdminClient, KafkaConsumer
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
        # As in the producer: whoever comes first creates the topic.
        "cleanup.policy": "compact",
        "segment.ms": "100",
        "min.compaction.lag.ms": "3000",
        "min.cleanable.dirty.ratio": "0.01",
    }
    with KafkaAdminClient(**KAFKA) as admin:
        topics = {"sound_settings": {"num_partitions": 1, "configs": compacted}}
        admin.create_topics(topics, raise_errors=False, wait_for_metadata=True)
    with KafkaConsumer(
        "sound_settings",
        **KAFKA,
        # Each time from the start: without a group, nobody remembers how far it was.
        auto_offset_reset="earliest",
    ) as consumer:
        ready = "Reading sound settings. Press Ctrl-C to stop."
        for message in receive(consumer, ready):
            user = (message.key or b"nobody").decode(errors="replace")
            if message.value is None:  # a tombstone, which has nothing to decode
                print(f"Read {message.offset}: {user} deleted")
            else:
                quality = message.value.decode(errors="replace")
                print(f"Read {message.offset}: {user} {quality}")


def receive(consumer, ready):
    batches = {}
    while True:
        if not batches:
            # poll() would wait for ever for a Kafka that is gone. This fails then.
            consumer.bootstrap(timeout_ms=4000, refresh=True)
        batches = consumer.poll(timeout_ms=500)
        if ready and consumer.assignment():
            print(ready)
            ready = None
        yield from chain.from_iterable(batches.values())


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass  # Ctrl-C is how a script is stopped
    except (KafkaError, OSError) as error:
        where, why = ", ".join(SERVERS), type(error).__name__
        sys.exit(f"Kafka at {where}: {why}. Try: python -m lab status kafka")
