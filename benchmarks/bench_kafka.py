"""Prints Kafka's figures; ends with status 1 when a promised one is missed.

Run it with ``make bench``. README.md beside this file says what each figure means.
"""

import re
import sys

from figures import Figures, bring_up, broker_of_its_own, compare_producer, run

# What kafka_producer.py sends, with nothing around it.
BARE_CLIENT = """
import os
from kafka import KafkaAdminClient, KafkaProducer
servers = os.environ["KAFKA_BOOTSTRAP_SERVERS"]
with KafkaAdminClient(bootstrap_servers=servers) as admin:
    admin.create_topics({"music_tasks": {"num_partitions": 2}}, raise_errors=False,
                        wait_for_metadata=True)
with KafkaProducer(bootstrap_servers=servers) as producer:
    for number in range(6):
        track = f"track {number + 1}".encode()
        producer.send("music_tasks", track, partition=number % 2).get()
"""


def main() -> None:
    figures = Figures()
    with broker_of_its_own("kafka") as measured:
        bring_up(figures, measured, in_seconds=15, mb=450)
        compare_producer(figures, measured, BARE_CLIENT)
        for name, *window in (
            ("kafka_confirms_producer.py",),
            ("kafka_confirms_async_producer.py", "100"),
            ("kafka_confirms_async_producer.py",),
        ):
            command = [sys.executable, f"kafka/{name}", *window]
            printed = run(*command, environment=measured.environment)
            print(re.search(r"Confirmed .*", printed)[0])
    sys.exit(figures.missed > 0)


if __name__ == "__main__":
    main()
