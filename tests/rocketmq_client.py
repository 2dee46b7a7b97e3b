"""A RocketMQ client for the tests: it receives, and acknowledges."""

from contextlib import contextmanager

from rocketmq import FilterExpression, Message, SimpleConsumer
from rocketmq.v5.exception import InternalErrorException

from tests.rows.rocketmq import configuration, started
from tests.rows.row import Settings

NOT_READY = "settings"  # in what the proxy says while it does not know a consumer


@contextmanager
def consuming(settings: Settings, group: str, topic: str, expression=None):
    consumer = SimpleConsumer(
        configuration(settings),
        group,
        {topic: expression or FilterExpression()},
        await_duration=1,
    )
    with started(consumer):
        yield consumer


def receive(consumer, count: int = 1, *, seconds: int = 10) -> list[Message]:
    """So many at most, within a second, and hidden for so many seconds.

    A consumer that has just started may wait.
    """
    while True:
        try:
            return consumer.receive(count, seconds) or []
        except InternalErrorException as error:
            if NOT_READY not in str(error):
                raise


def take(consumer, count: int) -> list[Message]:
    """Receive and acknowledge so many; the test's time is the limit."""
    taken = []
    while len(taken) < count:
        for message in receive(consumer):
            consumer.ack(message)
            taken.append(message)
    return taken


def bodies(messages: list[Message]) -> list[str]:
    return [message.body.decode() for message in messages]
