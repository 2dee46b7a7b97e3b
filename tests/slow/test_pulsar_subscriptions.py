"""What Pulsar's README says about subscriptions and no walkthrough shows."""

import inspect
import time
from contextlib import suppress
from datetime import timedelta

import pulsar
import pytest

from lab.broker import Report
from lab.brokers.pulsar import admin
from tests.rows.pulsar import PATIENT, connected, publish
from tests.support import Tab, in_order, run, script, wait_until

HOME = "persistent/public/default"
TYPES = pulsar.ConsumerType


@pytest.fixture
def broker(live):
    return live("pulsar")


def path(name: str):
    return script(f"pulsar_{name}.py").path


def taken(count: int, *consumers) -> list[list[pulsar.Message]]:
    """What each consumer gets of so many messages; acknowledged.

    No more than these come.
    """
    found = [[] for _ in consumers]

    def take(milliseconds: int) -> None:
        for messages, consumer in zip(found, consumers, strict=True):
            with suppress(pulsar.Timeout):
                messages.append(consumer.receive(timeout_millis=milliseconds))
                consumer.acknowledge(messages[-1])

    def number() -> int:
        return sum(map(len, found))

    wait_until(lambda: take(100) or number() >= count)
    take(1000)
    assert number() == count
    return found


def bodies(messages) -> list[str]:
    return [message.data().decode() for message in messages]


# Subscription types


@pytest.mark.parametrize("name", ["subscription_types", "delayed"])
def test_a_second_exclusive_consumer_is_refused(name, broker):
    command = path(f"{name}_consumer"), "exclusive"
    with Tab(*command, environment=broker.environment) as tab:
        assert tab.line()
        ended = run(*command, environment=broker.environment)
    assert ended.status == 1
    assert ended.out == []
    assert ended.error == ["The subscription exclusive has its one consumer already."]


def test_another_type_is_refused_while_somebody_is_connected(broker):
    with connected(broker.settings) as client:
        first = client.subscribe("artist_plays", "any", TYPES.Shared)
        with pytest.raises(pulsar.ConsumerBusy):
            client.subscribe("artist_plays", "any", TYPES.Failover)
        first.close()
        client.subscribe("artist_plays", "any", TYPES.Failover)


def test_the_consumer_that_stands_by_takes_over(broker):
    with connected(broker.settings) as one, connected(broker.settings) as two:
        consumers = [
            client.subscribe("artist_plays", "failover", TYPES.Failover)
            for client in (one, two)
        ]
        publish("artist_plays")(broker.settings, b"first")
        found = taken(1, *consumers)
        active, standby = consumers if found[0] else reversed(consumers)
        active.close()
        publish("artist_plays")(broker.settings, b"second")
        ((message,),) = taken(1, standby)
        assert message.data() == b"second"


# Key shared


def edits_of(playlist: str, lines: list[str]) -> list[str]:
    return [line for line in lines if playlist in line]


def applied(playlist: str, count: int) -> list[str]:
    return [
        f"{verb} {playlist} edit {number}"
        for number in range(1, count + 1)
        for verb in ("Applying", "Applied")
    ]


@pytest.mark.parametrize("victim", ["jazz", "party"])
def test_a_killed_workers_keys_move_in_order(victim, broker):
    with in_order(path("key_shared_consumer"), broker.environment) as workers:
        run(path("key_shared_producer"), environment=broker.environment)
        # Both are at work at the same time.
        begun = {tab.line(): tab for tab in workers}
        assert set(begun) == {"Applying jazz edit 1", "Applying party edit 1"}
        doomed = begun.pop(f"Applying {victim} edit 1")
        doomed.child.kill(9)
        ((first, survivor),) = begun.items()
        lines = [first] + [survivor.line() for _ in range(11)]
    assert edits_of("jazz", lines) == applied("jazz", 4)
    assert edits_of("party", lines) == applied("party", 2)


def test_keys_move_to_a_worker_that_comes_later_in_order(broker):
    """Only when none of its messages is in the other worker's hands does a key move."""
    with connected(broker.settings) as one, connected(broker.settings) as two:
        options = {"consumer_name": "editor", "receiver_queue_size": 1}
        first = one.subscribe("playlist_edits", "e", TYPES.KeyShared, **options)
        producer = one.create_producer("playlist_edits")
        keys = ("party", "jazz")
        for number in range(10):
            for key in keys:
                producer.send(str(number).encode(), partition_key=key)
        in_hand = [(first, first.receive(**PATIENT)) for _ in range(2)]
        second = two.subscribe("playlist_edits", "e", TYPES.KeyShared, **options)
        order = []

        def all_done() -> bool:
            if in_hand:
                consumer, message = in_hand.pop(0)
                order.append((message.partition_key(), int(message.data()), consumer))
                consumer.acknowledge(message)
            for each in (first, second):
                with suppress(pulsar.Timeout):
                    in_hand.append((each, each.receive(timeout_millis=100)))
            return len(order) == 20

        wait_until(all_done)
        for key in keys:
            assert [number for k, number, _ in order if k == key] == list(range(10))
        assert {consumer for *_, consumer in order[-4:]} == {first, second}


def test_a_second_run_of_the_producer_disturbs_no_worker(broker):
    with in_order(path("key_shared_consumer"), broker.environment) as workers:
        for _ in range(2):
            run(path("key_shared_producer"), environment=broker.environment)
        lines = sorted(
            ([tab.line() for _ in range(8)] for tab in workers), key=lambda x: x[0]
        )
        jazz, party = lines
    assert jazz == applied("jazz", 4)
    assert party == applied("party", 2) * 2


@pytest.mark.parametrize("kind", ["Default", "KeyBased"])
def test_a_batch_goes_to_one_worker(kind, broker):
    with connected(broker.settings) as one, connected(broker.settings) as two:
        consumers = [
            client.subscribe(
                "playlist_edits", "e", TYPES.KeyShared, consumer_name="editor"
            )
            for client in (one, two)
        ]
        producer = one.create_producer(
            "playlist_edits",
            batching_enabled=True,
            batching_type=getattr(pulsar.BatchingType, kind),
            batching_max_publish_delay_ms=1000,
        )
        for key in ("party", "jazz", "jazz", "party"):
            producer.send_async(b"edit", lambda *_: None, partition_key=key)
        producer.flush()
        keys = [
            {message.partition_key() for message in messages}
            for messages in taken(4, *consumers)
        ]
    alone = [{"jazz"}, {"party"}]
    together = [set(), {"jazz", "party"}]
    expected = together if kind == "Default" else alone
    assert sorted(keys, key=sorted) == sorted(expected, key=sorted)


def test_batching_is_off_by_default():
    parameters = inspect.signature(pulsar.Client.create_producer).parameters
    assert parameters["batching_enabled"].default is False


# Reader


@pytest.mark.parametrize("keeps", [True, False])
def test_without_retention_a_reader_finds_nothing_old(keeps, broker):
    topic = f"{HOME}/listening_history"
    run(path("reader_producer"), environment=broker.environment)
    if not keeps:
        admin(broker.settings, "DELETE", f"{topic}/retention")
        # The policy is a message too: it takes effect when the broker has read it.
        wait_until(lambda: not admin(broker.settings, "GET", f"{topic}/retention"))
    # As a restart does: the ledger is closed.
    admin(broker.settings, "PUT", f"{topic}/unload")
    publish("listening_history")(broker.settings, b"after")

    def left() -> list[str]:
        # What Pulsar does by itself each two minutes.
        admin(broker.settings, "POST", f"{topic}/trim")
        found = []
        with connected(broker.settings) as client:
            reader = client.create_reader("listening_history", earliest)
            while reader.has_message_available():
                found.append(reader.read_next(**PATIENT).data())
        return found

    earliest = pulsar.MessageId.earliest
    if keeps:
        assert len(left()) == 6
    else:
        wait_until(lambda: left() == [b"after"])


def test_a_play_that_is_not_there(broker):
    run(path("reader_producer"), environment=broker.environment)
    ended = run(path("reader_consumer"), "6", environment=broker.environment)
    assert ended.status == 1
    assert ended.out == []
    assert ended.error == ["There is no play 6: 5 is the last."]


def test_seek_to_a_message_id_or_a_time(broker):
    with connected(broker.settings) as client:
        producer = client.create_producer("listening_history")
        consumer = client.subscribe("listening_history", "statistics")
        ids = []
        for number in range(4):
            ids.append(producer.send(str(number).encode()))
            time.sleep(0.1)
        (messages,) = taken(4, consumer)
        assert bodies(messages) == ["0", "1", "2", "3"]
        for place in messages[2].publish_timestamp(), ids[1]:  # after this id
            consumer.seek(place)
            (messages_again,) = taken(2, consumer)
            assert bodies(messages_again) == ["2", "3"]


def test_seek_by_seconds_and_forward(broker):
    command = path("reader_seek_consumer")
    environment = broker.environment
    run(path("reader_producer"), environment=environment)
    sent = time.time()
    wait_until(lambda: time.time() > sent + 10)
    publish("listening_history")(broker.settings, b"a new play")
    with Tab(command, "8s", environment=environment) as tab:
        assert tab.line() == "Counting from 8s. Press Ctrl-C to stop."
        assert tab.line() == "Counted a new play"
    with Tab(command, "1m", environment=environment) as tab:
        assert [tab.line() for _ in range(2)][1] == "Counted play of track 1"
    with Tab(command, "latest", environment=environment) as tab:
        assert tab.line()
        publish("listening_history")(broker.settings, b"the next one")
        assert tab.line() == "Counted the next one"


def test_ctrl_c_loses_no_acknowledgement(broker):
    """The client collects them: closing the consumer sends what is left."""
    command = path("reader_seek_consumer")
    with Tab(command, environment=broker.environment) as tab:
        assert tab.line()
        for number in range(5):
            publish("listening_history")(broker.settings, str(number).encode())
        tab.wait_for("Counted 4")
        tab.press_ctrl_c()
        assert tab.end() == (0, None, [])
    with Tab(command, environment=broker.environment) as tab:
        assert tab.line()
        publish("listening_history")(broker.settings, b"the next one")
        assert tab.line() == "Counted the next one"


# Delayed


@pytest.mark.alone
def test_it_is_never_early_and_hardly_late(broker):
    """Late by twice the time between two looks of Pulsar."""
    runtime = admin(broker.settings, "GET", "brokers/configuration/runtime")
    assert runtime["delayedDeliveryTickTimeMillis"] == "100"
    late = []
    with connected(broker.settings) as client:
        consumer = client.subscribe("reminders", "shared", TYPES.Shared)
        producer = client.create_producer("reminders")
        for number in range(10):
            delay = 0.3 + 0.037 * number
            sent = time.time()
            producer.send(b"soon", deliver_after=timedelta(seconds=delay))
            consumer.acknowledge(consumer.receive(**PATIENT))
            late.append(time.time() - sent - delay)
    assert min(late) > -0.002  # the message carries whole milliseconds
    assert sorted(late)[5] < 0.2  # the median: the machine may be busy


@pytest.mark.parametrize("name", ["Exclusive", "Failover", "Shared", "KeyShared"])
def test_which_types_hold_back(name, broker):
    with connected(broker.settings) as client:
        consumer = client.subscribe("reminders", name, getattr(TYPES, name))
        producer = client.create_producer("reminders")
        producer.send(b"later", deliver_after=timedelta(seconds=3))
        producer.send(b"now")
        found = [consumer.receive(**PATIENT) for _ in range(2)]
    holds_back = name in ("Shared", "KeyShared")
    assert bodies(found) == (["now", "later"] if holds_back else ["later", "now"])


def test_what_is_due_comes_in_the_order_of_sending(broker):
    run(path("delayed_producer"), environment=broker.environment)
    sent = time.time()
    wait_until(lambda: time.time() > sent + 3.5)
    with Tab(path("delayed_consumer"), environment=broker.environment) as tab:
        assert tab.line()
        lines = [tab.line() for _ in range(4)]
    assert lines[0] == "Reminded of your daily mix, at a time"
    assert lines[-1] == "Reminded of Last Stop, now"


def test_reminders_survive_a_restart(new_broker):
    broker = new_broker("pulsar")
    with connected(broker.settings) as client:
        client.subscribe("reminders", "shared", TYPES.Shared).close()
        producer = client.create_producer("reminders")
        producer.send(b"later", deliver_after=timedelta(minutes=10))
        producer.send(b"now")
    broker.instance.stop()
    broker.instance.start(Report())
    with Tab(path("delayed_consumer"), environment=broker.environment) as tab:
        assert tab.line()
        assert tab.line() == "Reminded of now"
        stats = admin(broker.settings, "GET", f"{HOME}/reminders/stats")
        assert stats["subscriptions"]["shared"]["msgDelayed"] == 1


# Transactions


def test_the_client_has_no_transactions(record):
    """If this fails, a new client has them: write the pattern's scripts."""
    for part in (pulsar.Client, pulsar.Producer, pulsar.Consumer):
        for name, member in inspect.getmembers(part, inspect.isfunction):
            words = [name, *inspect.signature(member).parameters]
            assert not [word for word in words if "txn" in word or "transac" in word]
    names = {name for name in dir(pulsar) if "ransaction" in name or "Txn" in name}
    assert names == {
        "InvalidTxnStatusError",
        "TransactionConflict",
        "TransactionCoordinatorNotFoundError",
        "TransactionNotFound",
    }
    record("behaviours", "tied", "pulsar", "nothing: its client has no transactions")
