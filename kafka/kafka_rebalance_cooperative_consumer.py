"""Rebalance, cooperative consumer: gives up only what another worker gets.

                              +--> partition 0 --> worker 1
    producer --> [ ratings ] -+
                              +--> partition 1 --> worker 2, when there is one

Run each line in its own terminal tab:

    python kafka_rebalance_cooperative_consumer.py
    python kafka_rebalance_cooperative_consumer.py
    python kafka_rebalance_producer.py

The group deals out its partitions in two rounds: in the first a worker gives up what
another one shall have and keeps the rest, in the second the other one gets it.
"""

import os
import sys

from dotenv import load_dotenv
from kafka import ConsumerRebalanceListener, KafkaAdminClient, KafkaConsumer
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.errors import KafkaError
from kafka.structs import MemberState

load_dotenv()
SERVERS = os.getenv("KAFKA_BOOTSTRAP_SERVERS", "localhost:9092").split(",")
if not all(server.rpartition(":")[2].strip().isdecimal() for server in SERVERS):
    sys.exit("KAFKA_BOOTSTRAP_SERVERS is malformed. Write it as .env.example does.")
# Four seconds until a Kafka that is down or silent fails, instead of thirty.
TIMEOUTS = {"bootstrap_timeout_ms": 4000, "request_timeout_ms": 4000}
KAFKA = {"bootstrap_servers": SERVERS, **TIMEOUTS}


def main():
    with KafkaAdminClient(**KAFKA) as admin:
        topics = {"ratings": {"num_partitions": 2}}
        admin.create_topics(topics, raise_errors=False, wait_for_metadata=True)
    teller = Teller()
    with KafkaConsumer(
        **KAFKA,
        group_id="rating_counters_cooperative",
        # The only difference. All workers of a group must agree on it.
        partition_assignment_strategy=[CooperativeStickyAssignor],
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        max_poll_records=1,
        session_timeout_ms=10000,
        heartbeat_interval_ms=1000,  # in its answer a worker hears of a rebalance
    ) as consumer:
        try:
            consumer.subscribe(["ratings"], listener=teller)
            batches = {}
            while True:
                if not batches:
                    # poll() would wait for ever for a Kafka that is gone. This fails.
                    consumer.bootstrap(timeout_ms=4000, refresh=True)
                batches = consumer.poll(timeout_ms=3000)
                if not batches and is_rebalancing(consumer):
                    # kafka-python repeats one that ends between two calls of poll().
                    batches = consumer.poll(timeout_ms=3000)
                # A third worker is in the group too, but gets no partition.
                if consumer.group_metadata().generation_id > 0:
                    teller.begin()
                for (message,) in batches.values():
                    rating = (message.value or b"").decode(errors="replace")
                    # Without it, the partition's next owner would count it again.
                    consumer.commit()
                    print(f"Counted {rating}")
        finally:
            teller.speaks = False  # a worker that is stopped gives up its own as well


def is_rebalancing(consumer):
    return consumer.group_metadata().state is MemberState.REBALANCING


class Teller(ConsumerRebalanceListener):
    # poll() calls the first method before a rebalance and the second one after it.

    speaks = False

    def begin(self):
        if not self.speaks:
            print("Waiting for ratings. Press Ctrl-C to stop.")
            self.speaks = True

    def on_partitions_revoked(self, revoked):
        self.tell("Gave up", revoked)

    def on_partitions_assigned(self, assigned):
        self.begin()
        self.tell("Got", assigned)

    def tell(self, what, partitions):
        for partition in sorted(partitions) if self.speaks else ():
            print(f"{what} partition {partition.partition}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass  # Ctrl-C is how a script is stopped
    except (KafkaError, OSError) as error:
        where, why = ", ".join(SERVERS), type(error).__name__
        sys.exit(f"Kafka at {where}: {why}. Try: python -m lab status kafka")
