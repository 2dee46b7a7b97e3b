"""What becomes a dead letter on Pulsar, and what does not."""

import time

import pytest

from lab.brokers.pulsar import admin, contents
from tests.rows.pulsar import publish
from tests.support import Tab, run, script, wait_until

PRODUCER = script("pulsar_dead_letter_producer.py").path
CONSUMER = script("pulsar_dead_letter_consumer.py").path
READER = script("pulsar_dead_letter_reader.py").path
HOME = "persistent/public/default"


@pytest.fixture
def pulsar(live):
    return live("pulsar")


def waiting(pulsar) -> dict[str, int]:
    """How many messages each subscription has yet to consume."""
    return {
        content.thing.name: content.messages
        for content in contents(pulsar.settings)
        if content.thing.kind == "subscription"
    }


def test_nothing_is_lost_when_the_reader_comes_last(pulsar):
    """Producer first, then the consumer, and the reader when both have gone."""
    assert run(PRODUCER, environment=pulsar.environment).status == 0
    with Tab(CONSUMER, environment=pulsar.environment) as consumer:
        attempts = [f"Rejected broken track 2, attempt {n}" for n in (1, 2, 3)]
        for expected in attempts:
            consumer.wait_for(expected)
        wait_until(lambda: waiting(pulsar).get("dead_letters/dead_letter_readers") == 1)
        # The client acknowledges the original after that.
        wait_until(lambda: waiting(pulsar)["uploads/upload_encoders"] == 0)
        consumer.press_ctrl_c()
        # Not shown to the consumer a fourth time.
        assert consumer.end() == (0, None, [])
    assert waiting(pulsar)["uploads/upload_encoders"] == 0
    with Tab(READER, environment=pulsar.environment) as reader:
        reader.wait_for("Read broken track 2: rejected in uploads")


def test_the_time_to_live_of_the_topic_makes_no_dead_letter(pulsar):
    """Expired by the topic's own policy, without the reader's request to look."""

    def expired() -> int:
        stats = admin(pulsar.settings, "GET", f"{HOME}/live_requests/stats")
        return stats["subscriptions"]["hosts"]["totalMsgExpired"]

    def old_and_there() -> int:
        run(PRODUCER, environment=pulsar.environment)
        applied = f"{HOME}/live_requests/messageTTL?applied=true"
        wait_until(lambda: admin(pulsar.settings, "GET", applied) == 2)
        time.sleep(2.5)
        return waiting(pulsar)["live_requests/hosts"]

    # Pulsar looks every five minutes, and when the policy is set. Its own look may come
    # now, but not twice.
    assert old_and_there() or old_and_there()
    before = expired()
    admin(pulsar.settings, "POST", f"{HOME}/live_requests/messageTTL?messageTTL=2")
    wait_until(lambda: waiting(pulsar)["live_requests/hosts"] == 0)
    assert expired() == before + 1
    assert not [name for name in waiting(pulsar) if "dead" in name or "DLQ" in name]


def test_the_backlog_quota_drops_the_oldest(pulsar):
    run(PRODUCER, environment=pulsar.environment)
    wait_until(lambda: waiting(pulsar)["latest_hits/radios"] == 2)
    run(PRODUCER, environment=pulsar.environment)
    wait_until(lambda: waiting(pulsar)["latest_hits/radios"] == 2)
    assert not [name for name in waiting(pulsar) if "dead" in name or "DLQ" in name]


def test_a_message_whose_consumer_dies_each_time_is_no_dead_letter(pulsar):
    """Only negative acknowledgements are counted."""
    publish("uploads")(pulsar.settings, b"broken track 2")
    for _ in range(4):
        with Tab(CONSUMER, environment=pulsar.environment) as consumer:
            consumer.wait_for("Rejected broken track 2, attempt 1")
            consumer.child.kill(9)
            consumer.end()
