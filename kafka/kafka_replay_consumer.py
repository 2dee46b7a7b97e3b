"""Replay, consumer: reads a log from where it likes, as often as it likes.

    producer --> [ listening_history: 0 1 2 3 4 ... ] --> consumer from the first
                                                      --> consumer from offset 3
                                                      --> consumer from 20:10

Run each line in its own terminal tab:

    python kafka_replay_producer.py
    python kafka_replay_consumer.py first
    python kafka_replay_consumer.py last
    python kafka_replay_consumer.py 3
    python kafka_replay_consumer.py 20:10

first is the oldest message, last the newest one, a number the message with this
offset, a time the first message of that evening (UTC) from then on.
"""

import os
import re
import sys
from datetime import datetime, timezone
from itertools import chain

from dotenv import load_dotenv
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

load_dotenv()
SERVERS = os.getenv("KAFKA_BOOTSTRAP_SERVERS", "localhost:9092").split(",")
if not all(server.rpartition(":")[2].strip().isdecimal() for server in SERVERS):
    sys.exit("KAFKA_BOOTSTRAP_SERVERS is malformed. Write it as .env.example does.")
# Four seconds until a Kafka that is down or silent fails, instead of thirty.
TIMEOUTS = {"bootstrap_timeout_ms": 4000, "request_timeout_ms": 4000}
KAFKA = {"bootstrap_servers": SERVERS, **TIMEOUTS}

LOG = TopicPartition("listening_history", 0)
STARTS = r"first|last|[0-9]{1,18}|([01][0-9]|2[0-3]):[0-5][0-9]"


def main():
    start = "".join(sys.argv[1:]) or "first"
    if not re.fullmatch(STARTS, start):
        print(f"Usage: python {sys.argv[0]} [first|last|OFFSET|HH:MM]", file=sys.stderr)
        sys.exit(2)
    with KafkaAdminClient(**KAFKA) as admin:
        topics = {LOG.topic: {"num_partitions": 1, "configs": {"retention.ms": "-1"}}}
        admin.create_topics(topics, raise_errors=False, wait_for_metadata=True)
    # No group: it would remember where this reader was, and start there the next time.
    with KafkaConsumer(**KAFKA, auto_offset_reset="earliest") as consumer:
        consumer.assign([LOG])
        consumer.seek(LOG, find(consumer, start))
        for play in receive(consumer, f"Reading from {start}. Press Ctrl-C to stop."):
            time = datetime.fromtimestamp(play.timestamp / 1000, timezone.utc)
            text = (play.value or b"").decode(errors="replace")
            print(f"Read {play.offset}, {time:%H:%M}: {text}")


def find(consumer, start):
    oldest = consumer.beginning_offsets([LOG])[LOG]
    end = consumer.end_offsets([LOG])[LOG]  # where the next message will be
    if start in ("first", "last"):
        return oldest if start == "first" else max(oldest, end - 1)
    if ":" in start:
        time = datetime.fromisoformat(f"2025-06-21 {start}+00:00").timestamp()
        found = consumer.offsets_for_times({LOG: time * 1000})[LOG]
        return found.offset if found else end  # nothing yet from then on: wait for it
    # poll() would not complain: out of range, it starts at the oldest message.
    if not oldest <= int(start) <= end:
        sys.exit(f"Offset {start} is out of range: {oldest} is the oldest, {end} next.")
    return int(start)


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
