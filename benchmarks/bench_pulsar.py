"""Prints Pulsar's figures; ends with status 1 when a promised one is missed.

Run it with ``make bench``. README.md beside this file says what each figure means.
"""

import re
import sys

from figures import Figures, bring_up, broker_of_its_own, compare_producer, run

# What pulsar_producer.py sends, with nothing around it.
BARE_CLIENT = """
import os, pulsar
client = pulsar.Client(
    os.environ["PULSAR_SERVICE_URL"],
    logger=pulsar.FileLogger(pulsar.LoggerLevel.Error, os.devnull),
)
client.subscribe("music_tasks", "encoders", pulsar.ConsumerType.Shared).close()
producer = client.create_producer("music_tasks")
for number in range(1, 7):
    track = "track " + str(number)
    producer.send(track.encode())
"""


def main() -> None:
    figures = Figures()
    with broker_of_its_own("pulsar") as measured:
        bring_up(figures, measured, in_seconds=25, mb=700)
        compare_producer(figures, measured, BARE_CLIENT)
        for name, *window in (
            ("pulsar_confirms_producer.py",),
            ("pulsar_confirms_async_producer.py", "100"),
            ("pulsar_confirms_async_producer.py",),
        ):
            command = [sys.executable, f"pulsar/{name}", *window]
            printed = run(*command, environment=measured.environment)
            print(re.search(r"Confirmed .*", printed)[0])
    sys.exit(figures.missed > 0)


if __name__ == "__main__":
    main()
