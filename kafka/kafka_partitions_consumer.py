"""Partitions, consumer: counts the plays of the artists in its partitions.

                                  +--> partition 0 --+--> consumer 1
    producer --> [ artist_plays ]-+--> partition 1 --+
                  key: artist     +--> partition 2 -----> consumer 2

Run each line in its own terminal tab:

    python kafka_partitions_consumer.py
    python kafka_partitions_consumer.py
    python kafka_partitions_producer.py

A partition belongs to one consumer of the group, and an artist to one partition: so
nobody else counts this artist, and a count in memory is right.
"""

import os
import sys
from collections import Counter
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
    with KafkaAdminClient(**KAFKA) as admin:
        topics = {"artist_plays": {"num_partitions": 3}}
        admin.create_topics(topics, raise_errors=False, wait_for_metadata=True)
    plays = Counter()
    with KafkaConsumer(
        "artist_plays",
        **KAFKA,
        group_id="play_counters",  # consumers of other groups would get all plays too
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        max_poll_records=1,  # a commit covers all that was polled: one play
        session_timeout_ms=6000,
        heartbeat_interval_ms=1000,
    ) as consumer:
        for message in receive(consumer, "Waiting for plays. Press Ctrl-C to stop."):
            artist = (message.key or b"nobody").decode(errors="replace")
            title = (message.value or b"").decode(errors="replace")
            plays[artist] += 1
            where = f"partition {message.partition}"
            consumer.commit()
            print(f"Counted {artist}, {title}: play {plays[artist]}, {where}")


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
