"""Prints RocketMQ's figures; ends with status 1 when a promised one is missed.

Run it with ``make bench``. README.md beside this file says what each figure means.
"""

import sys
import time

from figures import Figures, bring_up, broker_of_its_own, run

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


def main() -> None:
    figures = Figures()
    with broker_of_its_own("rocketmq") as measured:
        bring_up(figures, measured, in_seconds=15, mb=800)
        time.sleep(10)  # the span that is measured
        times = [process.cpu_times() for process in measured.instance.processes()]
        used = sum(each.user + each.system for each in times)
        figures.at_most("processor time, ten seconds after that", used, 18, "s")
        setup = [sys.executable, "rocketmq/rocketmq_setup.py"]
        run(*setup, environment=measured.environment)
        command = [sys.executable, "-c", ONE_BY_ONE]
        printed = run(*command, environment=measured.environment)
        slowest, middle = map(float, printed.split())
        print(f"    2,000 messages one by one, the middle one: {middle * 1000:.0f} ms")
        figures.at_most("2,000 messages one by one, the slowest", slowest, 2, "s")
    sys.exit(figures.missed > 0)


if __name__ == "__main__":
    main()
