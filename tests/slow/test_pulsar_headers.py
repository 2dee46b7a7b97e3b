"""Pulsar does not look into properties: the headers consumer does the filtering."""

import pytest

from lab.brokers.pulsar import admin
from tests.support import Tab, run, script, wait_until


@pytest.fixture
def pulsar(live):
    return live("pulsar")


def sent_to_consumers(settings) -> list[int]:
    """How many messages Pulsar has sent to each subscription of the booklets."""
    stats = admin(settings, "GET", "persistent/public/default/booklets/stats")
    return [each["msgOutCounter"] for each in stats["subscriptions"].values()]


def test_every_booklet_travels_to_the_consumer(pulsar, record):
    """It prints one, and has been sent four."""
    path = script("pulsar_headers_consumer.py").path
    with Tab(path, environment=pulsar.environment) as consumer:
        assert consumer.line()
        assert sent_to_consumers(pulsar.settings) == [0]
        run(script("pulsar_headers_producer.py").path, environment=pulsar.environment)
        assert consumer.line() == "Received Night Train (pdf fr)"
        wait_until(lambda: sent_to_consumers(pulsar.settings) == [4])
        consumer.press_ctrl_c()
        assert consumer.end() == (0, None, [])
    wait_until(lambda: sent_to_consumers(pulsar.settings) == [])
    says = "the consumer: all messages come to it"
    record("behaviours", "filter", "pulsar", says)
