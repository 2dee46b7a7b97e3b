"""FIFO, consumer: plays the tracks in the order in which they were sent.

    producer --> [ playlist_single, partition 0 ] --> the one active player

Run each line in its own terminal tab:

    python kafka_fifo_consumer.py
    python kafka_fifo_consumer.py
    python kafka_fifo_producer.py

A partition belongs to one player of the group; others stand by without one. Stop the
active one: the next takes over, in order. With the word split behind all three lines
there are two partitions and two players at work, and the order is lost.
"""

import os
import sys
import time
from itertools import chain

from dotenv import load_dotenv
from kafka import KafkaAdminClient, KafkaConsumer
from kafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from kafka.errors import KafkaError

load_dotenv()
SERVERS = os.getenv("KAFKA_BOOTSTRAP_SERVERS", "localhost:9092").split(",")
if not all(server.rpartition(":")[2].strip().isdecimal() for server in SERVERS):
    sys.exit("KAFKA_BOOTSTRAP_SERVERS is malformed. Write it as .env.example does.")
# Four seconds until a Kafka that is down or silent fails, instead of thirty.
TIMEOUTS = {"bootstrap_timeout_ms": 4000, "request_timeout_ms": 4000}
KAFKA = {"bootstrap_servers": SERVERS, **TIMEOUTS}


def main():
    mode = "".join(sys.argv[1:]) or "single"
    if mode not in ("single", "split"):
        print(f"Usage: python {sys.argv[0]} [single|split]", file=sys.stderr)
        sys.exit(2)
    topic = f"playlist_{mode}"
    with KafkaAdminClient(**KAFKA) as admin:
        topics = {topic: {"num_partitions": 2 if mode == "split" else 1}}
        admin.create_topics(topics, raise_errors=False, wait_for_metadata=True)
    with KafkaConsumer(
        topic,
        **KAFKA,
        group_id=f"players_{mode}",
        # Who plays goes on playing. Others might give a newcomer the partition.
        partition_assignment_strategy=[StickyPartitionAssignor],
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        max_poll_records=1,
        session_timeout_ms=6000,
        heartbeat_interval_ms=1000,
    ) as consumer:
        for message in receive(consumer, "Waiting for tracks. Press Ctrl-C to stop."):
            track = (message.value or b"").decode(errors="replace")
            print(f"Playing {track}")
            time.sleep(3 if track.startswith("long") else 0.5)  # stands for the music
            consumer.commit()
            print(f"Played {track}")


def receive(consumer, ready):
    batches = {}
    while True:
        if not batches:
            # poll() would wait for ever for a Kafka that is gone. This fails then.
            consumer.bootstrap(timeout_ms=4000, refresh=True)
        batches = consumer.poll(timeout_ms=500)
        # A player that stands by is in the group too, but has no partition.
        if ready and consumer.group_metadata().generation_id > 0:
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
