"""What only Kafka has: partitions, offsets, compaction, transactions."""

import time

import pytest
from kafka import KafkaProducer, TopicPartition
from kafka.admin import OffsetSpec
from kafka.structs import OffsetAndMetadata

from lab.broker import Report
from lab.brokers.kafka import connect
from tests.rows.kafka import publish
from tests.support import Tab, run, script, topics_received


@pytest.fixture
def kafka(live):
    return live("kafka")


# Partitions and offsets

WORKER = script("kafka_consumer.py").path
TASKS = script("kafka_producer.py").path


def finished(kafka, count: int) -> list[str]:
    """What the next worker says that it has finished, up to this number of tasks."""
    with Tab(WORKER, environment=kafka.environment) as worker:
        assert worker.line()
        lines = [worker.line() for _ in range(2 * count)]
    return sorted(line for line in lines if line.startswith("Finished "))


def test_a_topic_with_another_number_of_partitions_will_do(kafka):
    with connect(kafka.settings) as admin:
        admin.create_topics({"music_tasks": {"num_partitions": 1}})
    sent = run(TASKS, environment=kafka.environment)
    assert sent.status == 0
    expected = [line.replace("Sent", "Finished") for line in sent.out]
    assert finished(kafka, len(expected)) == expected


def test_a_group_whose_offset_is_out_of_range_begins_at_the_beginning(kafka):
    """As after a reset of the topic alone: nothing that is there is left out."""
    sent = run(TASKS, environment=kafka.environment)
    with connect(kafka.settings) as admin:
        wrong = {
            TopicPartition("music_tasks", partition): OffsetAndMetadata(1000, "", -1)
            for partition in (0, 1)
        }
        admin.alter_group_offsets("encoders", wrong)
    expected = [line.replace("Sent", "Finished") for line in sent.out]
    assert finished(kafka, len(expected)) == expected


def test_at_least_once_means_that_a_task_may_be_done_twice(kafka):
    """A worker that dies after the work and before the commit."""
    with Tab(WORKER, environment=kafka.environment) as doomed:
        assert doomed.line()
        publish("music_tasks", partition=0)(kafka.settings, b"track 1")
        doomed.wait_for("Encoding track 1")
        doomed.child.kill(9)
    assert finished(kafka, 1) == ["Finished track 1"]


def test_a_pattern_that_fits_no_topic_is_one_line(kafka):
    path = script("kafka_topic_consumer.py").path
    ended = run(path, "jazz.*", environment=kafka.environment)
    assert ended.status == 1
    assert ended.out == []
    (line,) = ended.error
    assert line.startswith("No topic fits jazz.*. There are: catalogue.music.")


@pytest.mark.parametrize(
    ("pattern", "keys"),
    [
        (r"music\.rock\.[^.]+", ["music.rock.classic", "music.rock.indie"]),
        (r".*\.news|music\.pop\..*", ["music.pop.hits", "podcast.news"]),
    ],
)
def test_topic_patterns(pattern, keys, kafka):
    assert topics_received("kafka", pattern, len(keys), kafka.environment) == keys


def test_rpc_leaves_aside_what_nobody_waits_for(kafka):
    """Six seconds old: older than any client's patience."""
    with connect(kafka.settings) as admin:
        admin.create_topics(["track_metadata"], wait_for_metadata=True)
    old = round(time.time() * 1000) - 6000
    publish("track_metadata", timestamp_ms=old)(kafka.settings, b"Night Train")
    path = script("kafka_rpc_server.py").path
    with Tab(path, environment=kafka.environment) as server:
        server.wait_for("Expired Night Train")
        publish("track_metadata")(kafka.settings, b"Harbour Lights")
        assert server.line() == "Looking up Harbour Lights"


def test_headers_do_not_keep_a_message_out_of_the_log(kafka, record):
    """Kafka keeps all four booklets in the one log that everybody reads."""
    path = script("kafka_headers_consumer.py").path
    with Tab(path, environment=kafka.environment) as tab:
        assert tab.line()
        path = script("kafka_headers_producer.py").path
        sent = run(path, environment=kafka.environment).out
        assert tab.line() == "Received Night Train (pdf fr)"
    with connect(kafka.settings) as admin:
        log = TopicPartition("booklets", 0)
        kept = admin.list_partition_offsets({log: OffsetSpec.LATEST})[log].offset
    assert kept == len(sent) == 4
    says = "the consumer: all messages come to it"
    record("behaviours", "filter", "kafka", says)


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


def test_transactions_of_killed_processors_count_once(kafka, record):
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
    record("behaviours", "tied", "kafka", "what its processor has read")


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
    kafka.instance.start(Report())
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
        status, _, lines = zombie.end()
    assert status == 1
    assert lines[-1] == "Fenced: another processor has started with the same id."
    # Where the successor was slow, the zombie has had time for a commit.
    done = sum(line.startswith("Committed ") for line in lines)
    with Tab(PROCESSOR, environment=kafka.environment) as processor:
        check_committed(processor, payments[done:])
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
