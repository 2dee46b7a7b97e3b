"""A RocketMQ client for the tests: it receives and acknowledges; and sets topics."""

import logging
import re
from contextlib import contextmanager

from rocketmq import (
    ClientConfiguration,
    Credentials,
    FilterExpression,
    Message,
    SimpleConsumer,
)
from rocketmq.v5.exception import InternalErrorException

from lab.brokers.rocketmq import broker
from lab.remoting import UPDATE_TOPIC
from tests.rows.row import Settings

log = logging.getLogger("rocketmq-python-client")
log.handlers[0].close()  # a file in the user's home
log.handlers = [logging.NullHandler()]

# Seconds. The client's default of 3 would, on a busy machine, send a message twice.
REQUEST_TIMEOUT = 30
# What the proxy says while it does not know a consumer yet.
NOT_READY = re.compile("settings|NullPointerException")


@contextmanager
def started(client):
    client.startup()
    try:
        yield client
    finally:
        client.shutdown()


def configuration(settings: Settings) -> ClientConfiguration:
    return ClientConfiguration(
        settings["ROCKETMQ_ENDPOINTS"], Credentials(), request_timeout=REQUEST_TIMEOUT
    )


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
            if not NOT_READY.search(str(error)):
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


def set_topic(settings: Settings, topic: str, message_type: str, queues: int) -> None:
    """Make a topic, or change it, as the setup and ``mqadmin`` do."""
    with broker(settings) as connection:
        connection.ask(
            UPDATE_TOPIC,
            topic=topic,
            attributes=f"+message.type={message_type}",
            readQueueNums=queues,
            writeQueueNums=queues,
            perm=6,
            defaultTopic="TBW102",
            topicFilterType="SINGLE_TAG",
            topicSysFlag=0,
            order="false",
        )
