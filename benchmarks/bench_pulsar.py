"""What is measured of Pulsar."""

from benchmarks.figures import Part

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

PART = Part(
    broker="pulsar",
    mb=700,
    bare=BARE_CLIENT,
    speeds=(
        "pulsar_confirms_producer.py",
        "pulsar_confirms_async_producer.py 100",
        "pulsar_confirms_async_producer.py",
    ),
)
