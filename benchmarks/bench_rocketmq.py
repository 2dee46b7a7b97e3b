"""What is measured of RocketMQ."""

import time

from benchmarks.figures import Figures, Measured, Part, python

SPAN = 10  # seconds

# Each message sent when the one before has arrived; prints the seconds that each took
# at most, and in the middle.
ONE_BY_ONE = """
import logging, os, statistics, time
from rocketmq import ClientConfiguration, Credentials, FilterExpression, Message
from rocketmq import Producer, SimpleConsumer
from rocketmq.v5.exception import InternalErrorException
logging.getLogger("rocketmq-python-client").handlers = [logging.NullHandler()]
configuration = ClientConfiguration(os.environ["ROCKETMQ_ENDPOINTS"], Credentials())
producer = Producer(configuration, ["music_tasks"])
consumer = SimpleConsumer(
    configuration, "encoders", {"music_tasks": FilterExpression()}, await_duration=1
)
producer.startup()
consumer.startup()
while True:
    try:
        consumer.receive(1, 10)
        break
    except InternalErrorException:
        pass  # for a moment RocketMQ does not know this consumer
took = []
message = Message()
message.topic = "music_tasks"
message.body = b"track"
for number in range(2000):
    began = time.monotonic()
    producer.send(message)
    while not (received := consumer.receive(1, 10)):
        pass
    took.append(time.monotonic() - began)
    consumer.ack(received[0])
producer.shutdown()
consumer.shutdown()
print(max(took), statistics.median(took))
"""


def processor_seconds(measured: Measured) -> float:
    times = [process.cpu_times() for process in measured.instance.processes()]
    return sum(each.user + each.system for each in times)


def more(figures: Figures, measured: Measured) -> None:
    time.sleep(SPAN)  # what a start leaves to do
    before = processor_seconds(measured)
    time.sleep(SPAN)
    used = processor_seconds(measured) - before
    figures.at_most(f"processor time at rest, in {SPAN} s", used, 3, "s")
    python("rocketmq/rocketmq_setup.py", environment=measured.environment)
    printed = python("-c", ONE_BY_ONE, environment=measured.environment)
    slowest, middle = map(float, printed.split())
    figures.tell("2,000 messages one by one, the middle one", middle)
    figures.at_most("2,000 messages one by one, the slowest", slowest, 2, "s")


PART = Part(broker="rocketmq", mb=800, more=more)
