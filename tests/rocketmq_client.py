"""A RocketMQ client for the tests: it receives, and acknowledges."""

import logging
from contextlib import contextmanager

from rocketmq import (
    ClientConfiguration,
    Credentials,
    FilterExpression,
    Message,
    SimpleConsumer,
)
from rocketmq.v5.exception import InternalErrorException

from tests.rows.row import Settings

log = logging.getLogger("rocketmq-python-client")
log.handlers[0].close()  # a file in the user's home
log.handlers = [logging.NullHandler()]

NOT_READY = "settings"  # in what the proxy says while it does not know a consumer


@contextmanager
def started(client):
    client.startup()
    try:
        yield client
    finally:
        client.shutdown()


def configuration(settings: Settings) -> ClientConfiguration:
    return ClientConfiguration(settings["ROCKETMQ_ENDPOINTS"], Credentials())


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


def receive(consumer, count: int = 1) -> list[Message]:
    """So many at most, within a second; a consumer that has just started may wait."""
    while True:
        try:
            return consumer.receive(count, 10) or []
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
