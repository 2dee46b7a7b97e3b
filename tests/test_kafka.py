"""What only Kafka has: compaction, transactions, and its death in the middle."""

import pytest
from kafka import KafkaProducer

from tests.rows.kafka import publish
from tests.support import Tab, run, script


@pytest.fixture
def kafka(live):
    return live("kafka")


# Compaction

SETTINGS = script("kafka_compaction_consumer.py").path


def test_compaction_keeps_the_last_value_of_each_key(kafka):
    """Except for what is outdated only by the segment that is still being written."""
    first = ["3: ben deleted", "4: anna high", "5: carla low"]
    second = ["5: carla low", "9: ben deleted", "10: anna high", "11: carla low"]
    for expected in first, second:
        path = script("kafka_compaction_producer.py").path
        sent = run(path, environment=kafka.environment)
        assert sent.out[-1] == "Kafka has dropped what was outdated"
        with Tab(SETTINGS, environment=kafka.environment) as reader:
            assert reader.line()
            assert [reader.line() for _ in expected] == [f"Read {x}" for x in expected]


def test_a_reader_is_in_time_for_every_update(kafka):
    """For three seconds a message is safe from compaction, whoever it replaces."""
    with Tab(SETTINGS, environment=kafka.environment) as reader:
        assert reader.line()
        for number in range(20):
            send = publish("sound_settings", key=b"anna")
            send(kafka.settings, f"quality {number}".encode())
            assert reader.line() == f"Read {number}: anna quality {number}"


# Transactions

BOOKINGS = script("kafka_transactions_consumer.py").path
PAYMENTS = script("kafka_transactions_producer.py").path
PROCESSOR = script("kafka_transactions_processor.py").path
PER_RUN = ["payment 1", "payment 2", "payment 3"]


def send_payments(kafka, runs: int) -> list[str]:
    """Run the producer; returns the payments that Kafka has acknowledged."""
    for _ in range(runs):
        sent = run(PAYMENTS, environment=kafka.environment)
        assert sent.out == [f"Sent {payment}" for payment in PER_RUN]
    return PER_RUN * runs


def check_bookings(
    kafka, committed: list[str], written: list[str] | None = None
) -> None:
    """The log of bookings has these for a reader of each level, and no other."""
    publish("bookings")(kafka.settings, b"the end")
    for level, bookings in ("committed", committed), ("uncommitted", written):
        if bookings is None:
            continue
        with Tab(BOOKINGS, f"read_{level}", environment=kafka.environment) as reader:
            assert reader.line()
            lines = [reader.line() for _ in range(len(bookings) + 1)]
        assert lines == [f"Read {booking}" for booking in [*bookings, "the end"]]


def check_committed(tab: Tab, payments: list[str]) -> None:
    """The processor that starts in this tab books these, in this order."""
    assert tab.line() == "Waiting for payments. Press Ctrl-C to stop."
    for payment in payments:
        assert tab.line() == f"Wrote {payment}"
        assert tab.line() == f"Committed {payment}"


def test_transactions_of_killed_processors_count_once(kafka):
    """Five in a row die in the same transaction, each after its booking was stored."""
    payments = send_payments(kafka, 1)
    for _ in range(5):
        with Tab(PROCESSOR, environment=kafka.environment) as doomed:
            assert doomed.line()
            assert doomed.line() == "Wrote payment 1"
            doomed.child.kill(9)
            doomed.end()
    with Tab(PROCESSOR, environment=kafka.environment) as survivor:
        check_committed(survivor, payments)
    check_bookings(kafka, payments, written=["payment 1"] * 5 + payments)


def test_transactions_of_processors_killed_one_after_the_other_keep_the_order(kafka):
    payments = send_payments(kafka, 2)
    written = []
    for number in range(4):
        with Tab(PROCESSOR, environment=kafka.environment) as doomed:
            check_committed(doomed, payments[number : number + 1])
            assert doomed.line() == f"Wrote {payments[number + 1]}"
            doomed.child.kill(9)
            doomed.end()
        written += payments[number : number + 2]
    with Tab(PROCESSOR, environment=kafka.environment) as survivor:
        check_committed(survivor, payments[4:])
    written += payments[4:]
    check_bookings(kafka, payments, written)


def test_transactions_survive_the_death_of_the_broker(new_broker):
    """Killed while one is open: nothing is lost, and nothing is there twice."""
    kafka = new_broker("kafka")
    payments = send_payments(kafka, 2)
    with Tab(PROCESSOR, environment=kafka.environment) as processor:
        check_committed(processor, payments[:2])
        assert processor.line() == f"Wrote {payments[2]}"
        kafka.instance.kill()
        status, _, (line,) = processor.end()
        assert status == 1
        assert "python -m lab status kafka" in line
    kafka.instance.start(print)
    with Tab(PROCESSOR, environment=kafka.environment) as processor:
        check_committed(processor, payments[2:])
    check_bookings(kafka, payments, [*payments[:3], *payments[2:]])


def test_a_zombie_is_fenced_in_the_middle_of_its_transaction(kafka):
    payments = send_payments(kafka, 1)
    servers = kafka.settings["KAFKA_BOOTSTRAP_SERVERS"].split(",")
    with Tab(PROCESSOR, environment=kafka.environment) as zombie:
        zombie.wait_for("Wrote payment 1")
        with KafkaProducer(
            bootstrap_servers=servers, transactional_id="bookkeeper"
        ) as successor:
            successor.init_transactions()
        assert zombie.end() == (
            1,
            None,
            ["Fenced: another processor has started with the same id."],
        )
    with Tab(PROCESSOR, environment=kafka.environment) as processor:
        check_committed(processor, payments)
    check_bookings(kafka, payments)


def test_an_open_transaction_stops_readers_of_what_is_committed(kafka):
    """What comes after it waits too, until Kafka has aborted it on its own."""
    send_payments(kafka, 1)
    with Tab(PROCESSOR, environment=kafka.environment) as doomed:
        doomed.wait_for("Wrote payment 1")
        doomed.child.kill(9)
    publish("bookings")(kafka.settings, b"the next one")
    with Tab(BOOKINGS, "read_uncommitted", environment=kafka.environment) as reader:
        reader.wait_for("Read the next one")
    with Tab(BOOKINGS, "read_committed", environment=kafka.environment) as reader:
        assert reader.line()
        # Kafka looks for transactions over their time of ten seconds every ten seconds.
        reader.child.timeout = 30
        assert reader.line() == "Read the next one"


@pytest.mark.parametrize(
    ("path", "topic", "printed"),
    [
        (SETTINGS, "sound_settings", "Read 0: a\N{REPLACEMENT CHARACTER} deleted"),
        (BOOKINGS, "bookings", "Read "),
        (PROCESSOR, "payments", "Wrote "),
    ],
)
def test_a_message_without_a_value_stops_nobody(path, topic, printed, kafka):
    send = publish(topic, key=b"a\xff")
    with Tab(path, environment=kafka.environment) as tab:
        assert tab.line()
        send(kafka.settings, None)
        assert tab.line() == printed
        send(kafka.settings, b"the next one")
        tab.wait_for("*the next one")
