"""Work queue, consumer: each task goes to one of the workers.

    producer --+--> [ music_tasks, partition 0 ] --> worker 1
               +--> [ music_tasks, partition 1 ] --> worker 2

Run each line in its own terminal tab:

    python kafka_consumer.py
    python kafka_consumer.py
    python kafka_producer.py

Kafka deals out partitions, not tasks: each belongs to one worker of the group. Kill
a worker in the middle of a task: the other gets its partition, and with it that task
again, once Kafka has missed the dead one's heartbeats for 6 seconds.
"""

import os
import sys
import time
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
        # Two partitions, so two workers: a third one would have nothing to do.
        topics = {"music_tasks": {"num_partitions": 2}}
        admin.create_topics(topics, raise_errors=False, wait_for_metadata=True)
    with KafkaConsumer(
        "music_tasks",
        **KAFKA,
        group_id="encoders",
        auto_offset_reset="earliest",  # a new group begins with the tasks that wait
        enable_auto_commit=False,  # on a timer, unfinished tasks would count as done
        max_poll_records=1,  # a commit covers all that was polled: one task
        session_timeout_ms=6000,
        heartbeat_interval_ms=1000,
    ) as consumer:
        for message in receive(consumer, "Waiting for tasks. Press Ctrl-C to stop."):
            track = (message.value or b"").decode(errors="replace")
            print(f"Encoding {track}")
            time.sleep(1)  # stands for the work
            # Only now: a task committed before the work is lost if the worker dies.
            consumer.commit()
            print(f"Finished {track}")


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
