"""What is measured of Kafka."""

from benchmarks.figures import Part

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

PART = Part(
    broker="kafka",
    mb=450,
    bare=BARE_CLIENT,
    speeds=(
        "kafka_confirms_producer.py",
        "kafka_confirms_async_producer.py 100",
        "kafka_confirms_async_producer.py",
    ),
)
