"""RocketMQ's transactions: what nobody may see, and what no death may undo."""

import pytest
from rocketmq import Message, Producer, TransactionChecker, TransactionResolution

from lab.broker import Report
from tests.rocketmq_client import bodies, consuming, receive, take
from tests.rows.rocketmq import configuration, started
from tests.support import Tab, run, script

PRODUCER = script("rocketmq_transaction_producer.py").path


class Undecided(TransactionChecker):
    def check(self, message):
        return TransactionResolution.UNKNOWN


def begin(producer, body: str):
    """A half message, and its transaction."""
    message = Message()
    message.topic, message.body = "purchases", body.encode()
    transaction = producer.begin_transaction()
    producer.send(message, transaction)
    return transaction


def unlocking(rocketmq):
    return consuming(rocketmq.settings, "album_unlockers", "purchases")


def test_nobody_sees_a_half_message(live):
    rocketmq = live("rocketmq")
    client = configuration(rocketmq.settings)
    with (
        started(Producer(client, ["purchases"], Undecided())) as producer,
        unlocking(rocketmq) as consumer,
    ):
        paid = begin(producer, "Night Train")
        unpaid = begin(producer, "Low Tide")
        assert receive(consumer) == []
        unpaid.rollback()
        paid.commit()
        assert bodies(take(consumer, 1)) == ["Night Train"]
        assert receive(consumer) == []


def killed_after(line: str, path, environment) -> None:
    with Tab(path, environment=environment) as tab:
        tab.wait_for(line)  # and then it is killed


@pytest.mark.timeout(300)
def test_what_was_not_booked_is_rolled_back(live, tmp_path, record):
    """The producer dies after the half message and before the row."""
    rocketmq = live("rocketmq")
    slow = tmp_path / "producer.py"
    booking = "        sale = message.message_id, album\n"
    text = PRODUCER.read_text()
    assert booking in text
    slow.write_text(text.replace(booking, f"        time.sleep(60)\n{booking}"))
    killed_after("Sent Night Train, still hidden", slow, rocketmq.environment)
    resumed = run(PRODUCER, "resume", environment=rocketmq.environment)
    assert resumed.status == 0, resumed
    assert resumed.out[-1] == "RocketMQ has asked about nothing that is booked"
    with unlocking(rocketmq) as consumer:
        assert receive(consumer) == []
    record("behaviours", "tied", "rocketmq", "a row in a database")


@pytest.mark.timeout(300)
def test_an_open_transaction_survives_the_death_of_the_broker(new_broker):
    rocketmq = new_broker("rocketmq")
    killed_after("Booked Night Train", PRODUCER, rocketmq.environment)
    rocketmq.instance.kill()
    rocketmq.instance.start(Report())
    resumed = run(PRODUCER, "resume", environment=rocketmq.environment)
    assert resumed.out[-1] == "RocketMQ asks about Night Train: booked, so commit"
    with unlocking(rocketmq) as consumer:
        assert bodies(take(consumer, 1)) == ["Night Train"]
