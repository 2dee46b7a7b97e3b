"""What only RocketMQ has: types of topics, orders, delays, and its own bad inputs."""

import ast
import time
from contextlib import suppress

import pytest
from rocketmq import (
    FilterExpression,
    Message,
    Producer,
    TransactionChecker,
    TransactionResolution,
)
from rocketmq.grpc_protocol import FilterType
from rocketmq.v5.exception import (
    BadRequestException,
    IllegalArgumentException,
    InternalErrorException,
)

from lab.broker import Report, Thing
from lab.brokers.rocketmq import ROCKETMQ, broker
from lab.remoting import TOPIC_STATS, UPDATE_GROUP, RemotingError
from tests.rocketmq_client import bodies, consuming, receive, set_topic, take
from tests.rows.rocketmq import (
    at,
    configuration,
    in_group,
    send,
    started,
    with_priority,
    with_properties,
)
from tests.support import SCRIPTS, Tab, lab, run, script, start, wait_until


@pytest.fixture
def rocketmq(live):
    return live("rocketmq")


def path_of(rest: str):
    return script(f"rocketmq_{rest}.py").path


def setup(environment):
    return run(path_of("setup"), environment=environment)


def lines_of(tab: Tab, count: int) -> list[str]:
    return [tab.line() for _ in range(count)]


def offsets(rocketmq, topic: str) -> dict[int, int]:
    """How many messages each queue of a topic has had."""
    with broker(rocketmq.settings) as connection:
        stats = connection.ask(TOPIC_STATS, topic=topic)
        return dict(
            zip(stats.numbers("queueId"), stats.numbers("maxOffset"), strict=True)
        )


# Everything arrives


INTERRUPTED_CALL = """
import asyncio, runpy, sys

def interrupt(call, loop):
    if call.__name__ == "_receive_coroutine":
        raise KeyboardInterrupt
    return start(call, loop)

start, asyncio.run_coroutine_threadsafe = asyncio.run_coroutine_threadsafe, interrupt
runpy.run_path(sys.argv[1], run_name="__main__")
"""


def test_ctrl_c_just_before_the_client_makes_a_call(rocketmq):
    """Python warns of a coroutine that was never awaited; nobody wants to know."""
    worker = str(path_of("consumer"))
    ended = run("-c", INTERRUPTED_CALL, worker, environment=rocketmq.environment)
    assert ended == (0, [], [])


@pytest.mark.timeout(600)
def test_each_of_2000_messages_arrives_once(rocketmq):
    """Sent and awaited one by one: a lost wake-up would be a message that waits."""
    expected = [f"track {number}" for number in range(2000)]
    received = []
    with (
        started(
            Producer(configuration(rocketmq.settings), ["music_tasks"])
        ) as producer,
        consuming(rocketmq.settings, "encoders", "music_tasks") as consumer,
    ):
        assert receive(consumer) == []
        for body in expected:
            message = Message()
            message.topic = "music_tasks"
            message.body = body.encode()
            producer.send(message)
            received += bodies(take(consumer, 1))
        assert receive(consumer) == []
    assert received == expected


@pytest.mark.timeout(300)
def test_what_has_a_receipt_survives_the_death_of_the_broker(new_broker):
    rocketmq = new_broker("rocketmq")
    receipted = []
    with started(
        Producer(configuration(rocketmq.settings), ["music_tasks"])
    ) as producer:
        message = Message()
        message.topic = "music_tasks"
        # What the client raises when the broker goes is its own affair.
        with suppress(Exception):
            while True:
                message.body = f"track {len(receipted)}".encode()
                producer.send(message)
                receipted.append(message.body.decode())
                if len(receipted) == 200:
                    rocketmq.instance.kill()
    rocketmq.instance.start(Report())
    missing = set(receipted)
    assert len(missing) >= 200
    with consuming(rocketmq.settings, "encoders", "music_tasks") as consumer:
        while missing:
            missing.difference_update(bodies(take(consumer, 1)))


# Bad input


def check_line(ended, *words: str) -> None:
    assert (ended.status, ended.out) == (1, [])
    (line,) = ended.error
    for each in words:
        assert each in line


def test_a_missing_topic_is_named(rocketmq, tmp_path):
    """One that has never been: a deleted one, the proxy remembers for a while."""
    for name in "producer", "consumer":
        text = path_of(name).read_text().replace("music_tasks", "no_such_tasks")
        copy = tmp_path / f"{name}.py"
        copy.write_text(text)
        ended = run(copy, environment=rocketmq.environment)
        check_line(ended, "no_such_tasks is missing. Try: python rocketmq_setup.py")


def test_a_missing_group_is_named(rocketmq):
    ROCKETMQ.delete(rocketmq.settings, [Thing("consumer group", "encoders")])
    consumer = path_of("consumer")
    ended = run(consumer, environment=rocketmq.environment)
    check_line(ended, "encoders is missing. Try: python rocketmq_setup.py")
    assert setup(rocketmq.environment).status == 0
    with Tab(consumer, environment=rocketmq.environment) as worker:
        assert worker.line() == "Waiting for tasks. Press Ctrl-C to stop."


@pytest.mark.timeout(300)
def test_a_late_acknowledgement_is_refused(rocketmq, tmp_path):
    """Another worker has the task by then: one that asks for more time finishes it."""
    text = path_of("consumer").read_text().replace("time.sleep(1)", "time.sleep(15)")
    late, patient = tmp_path / "late.py", tmp_path / "patient.py"
    late.write_text(text)
    patient.write_text(
        text.replace("consumer.receive(1, 10)", "consumer.receive(1, 30)")
    )
    send(rocketmq.settings, "music_tasks", b"track 1")
    with Tab(late, environment=rocketmq.environment) as first:
        first.wait_for("Encoding track 1")
        with Tab(patient, environment=rocketmq.environment) as second:
            second.wait_for("Encoding track 1")
            line = (
                f"RocketMQ at {rocketmq.settings['ROCKETMQ_ENDPOINTS']}: "
                "40013, INVALID_RECEIPT_HANDLE. Try: python -m lab status rocketmq"
            )
            assert first.end() == (1, None, [line])
            assert second.line() == "Finished track 1"


@pytest.mark.timeout(300)
def test_a_topic_of_another_type_is_named_and_the_setup_is_the_cure(new_broker):
    """On a broker of its own, because a proxy remembers types for a while."""
    rocketmq = new_broker("rocketmq")
    topics = {
        "producer": ("music_tasks", "FIFO"),
        "confirms_async_producer": ("royalties", "FIFO"),
        "rpc_client": ("track_metadata", "DELAY"),
        "fifo_producer": ("playlist_single", "NORMAL"),
        "delayed_producer": ("reminders", "NORMAL"),
        "delayed_recall_producer": ("reminders", "NORMAL"),
        "priority_producer": ("song_requests", "NORMAL"),
        "transaction_producer": ("purchases", "NORMAL"),
    }
    for topic, wrong in topics.values():
        set_topic(rocketmq.settings, topic, wrong, queues=4)
    for name, (topic, _) in topics.items():
        ended = run(path_of(name), environment=rocketmq.environment)
        cure = "is of another type. Try: python rocketmq_setup.py"
        check_line(ended, f"{topic} {cure}")
    assert setup(rocketmq.environment).status == 0
    producer = path_of("delayed_producer")

    def sends() -> bool:
        return run(producer, environment=rocketmq.environment).status == 0

    wait_until(sends)


def test_every_docstring_names_the_setup():
    for each in SCRIPTS:
        if each.broker == "rocketmq":
            text = ast.get_docstring(ast.parse(each.path.read_text()))
            assert "python rocketmq_setup.py" in text, each.name


@pytest.mark.parametrize("topic", ["vinyl_orders", "reminders", "song_requests"])
def test_each_type_needs_its_property(topic, rocketmq):
    """No message group, no time, no priority."""
    with pytest.raises(IllegalArgumentException, match="message type not match"):
        send(rocketmq.settings, topic, b"plain")


def test_resume_says_that_nobody_is_there(rocketmq):
    """Nobody who could ask: the client itself does not say so."""
    nowhere = rocketmq.environment | {"ROCKETMQ_ENDPOINTS": "localhost:1"}
    ended = run(path_of("transaction_producer"), "resume", environment=nowhere)
    check_line(ended, "no proxy answers", "python -m lab status rocketmq")


def test_a_blank_title_is_none(rocketmq):
    """RocketMQ's client would refuse the body."""
    client = path_of("rpc_client")
    with Tab(client, "", " ", environment=rocketmq.environment) as tab:
        assert tab.line() == "Requested Night Train"


def test_an_empty_body_is_refused_by_the_client():
    with pytest.raises(IllegalArgumentException, match="body should not be blank"):
        Message().body = b""


@pytest.mark.parametrize("sql", ["format = ", "year > 'new'"])
def test_bad_sql_is_refused(sql, rocketmq):
    expression = FilterExpression(sql, FilterType.SQL)
    with (
        consuming(rocketmq.settings, "encoders", "music_tasks", expression) as consumer,
        pytest.raises(InternalErrorException, match="subscription failed"),
    ):
        receive(consumer)


def test_status_tells_a_proxy_that_is_down_from_a_broker_that_is(rocketmq):
    environment = rocketmq.environment | {"ROCKETMQ_ENDPOINTS": "localhost:1"}
    status = lab("status", "rocketmq", environment=environment)
    assert status.status == 1
    (line,) = status.out
    assert "the broker runs, but nothing listens on localhost:1: its proxy" in line


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("localhost:1", "Connection refused"),
        ("no-such-host.invalid:9876", "Name or service not known"),
        ("localhost", "ROCKETMQ_NAMESRV_ADDR is malformed"),
        ("localhost:port", "ROCKETMQ_NAMESRV_ADDR is malformed"),
        ("{ROCKETMQ_ENDPOINTS}", "no name server. Its port is 9876, not 8081"),
        ("localhost:{ROCKETMQ_BROKER_PORT}", "request type 106 not supported"),
    ],
)
def test_setup_says_what_is_wrong(address, says, rocketmq):
    value = address.format_map(rocketmq.environment)
    check_line(setup(rocketmq.environment | {"ROCKETMQ_NAMESRV_ADDR": value}), says)


def test_setup_can_be_run_again_and_again(rocketmq):
    """What is there keeps what is in it."""
    send(rocketmq.settings, "music_tasks", b"track 1")
    for _ in range(2):
        assert setup(rocketmq.environment).status == 0
    with consuming(rocketmq.settings, "encoders", "music_tasks") as consumer:
        assert bodies(take(consumer, 1)) == ["track 1"]


# Order

STEPS = ["placed", "paid", "shipped"]


@pytest.fixture
def shop(live):
    """Where no attempt of the test before counts."""
    return live("rocketmq", settled=True)


def send_order(rocketmq, name: str, *steps: str) -> None:
    texts = [f"{name} {step}".encode() for step in steps]
    send(rocketmq.settings, "vinyl_orders", *texts, change=in_group(name))


def test_a_failed_head_holds_up_its_queue_and_no_other(shop):
    """Order 8 has the queue of order 1, order 2 another one."""
    queues = {}
    for name in "order 1", "order 8", "order 2":
        before = offsets(shop, "vinyl_orders")
        send_order(shop, name, "placed")
        after = offsets(shop, "vinyl_orders")
        (queues[name],) = (each for each in after if after[each] > before[each])
    assert queues["order 1"] == queues["order 8"] != queues["order 2"]

    with Tab(path_of("order_consumer"), environment=shop.environment) as consumer:
        lines = lines_of(consumer, 5)
    order_1 = [
        "Failed order 1 placed, attempt 1",
        "Did order 1 placed, attempt 2",
        "Did order 8 placed, attempt 1",
    ]
    assert [line for line in lines[1:] if "order 2" not in line] == order_1
    assert lines.index("Did order 2 placed, attempt 1") < lines.index(order_1[1])


def test_order_survives_a_killed_consumer(shop):
    send_order(shop, "order 1", *STEPS)
    path = path_of("order_consumer")
    with Tab(path, environment=shop.environment) as doomed:
        doomed.wait_for("Failed order 1 placed, attempt 1")
        doomed.child.kill(9)
    with Tab(path, environment=shop.environment) as other:
        assert lines_of(other, 4)[1:] == [
            "Did order 1 placed, attempt 2",
            "Did order 1 paid, attempt 1",
            "Did order 1 shipped, attempt 1",
        ]


def test_a_head_that_never_succeeds_is_a_dead_letter_in_the_end(shop):
    """After so many attempts as its group has retries, and one."""
    group = {"groupName": "record_shop", "consumeMessageOrderly": True}
    with broker(shop.settings) as connection:
        connection.ask(UPDATE_GROUP, group | {"retryMaxTimes": 1})
    send_order(shop, "order 1", *STEPS)
    attempts = []
    with consuming(shop.settings, "record_shop", "vinyl_orders") as consumer:
        while True:
            for message in receive(consumer):
                if message.body != b"order 1 placed":
                    break
                attempts.append(message.delivery_attempt)
                consumer.change_invisible_duration(message, 1)
            else:
                continue
            break
        consumer.ack(message)
        assert message.body == b"order 1 paid"
        assert bodies(take(consumer, 1)) == ["order 1 shipped"]
    assert attempts == [1, 2]
    assert sum(offsets(shop, "%DLQ%record_shop").values()) == 1


# Delay


def test_no_delayed_message_comes_early(rocketmq):
    with consuming(rocketmq.settings, "reminder_listeners", "reminders") as consumer:
        assert receive(consumer) == []
        send(rocketmq.settings, "reminders", b"in two seconds", change=at(2))
        (message,) = take(consumer, 1)
        assert time.time() * 1000 >= message.delivery_timestamp


@pytest.mark.timeout(300)
def test_delayed_messages_survive_the_death_of_the_broker(new_broker):
    rocketmq = new_broker("rocketmq")
    producer = path_of("delayed_producer")
    assert run(producer, environment=rocketmq.environment).status == 0
    rocketmq.instance.kill()
    rocketmq.instance.start(Report())
    consumer = path_of("delayed_consumer")
    with Tab(consumer, environment=rocketmq.environment) as tab:
        missing = {
            "Reminded of Last Stop, now",
            "Reminded of Low Tide, in 4 seconds",
            "Reminded of Night Train, in 2 seconds",
        }
        assert tab.line() == "Waiting for reminders. Press Ctrl-C to stop."
        while missing:  # what is due shortly before the death may come twice
            missing.discard(tab.line())


def send_reminder(producer, body: bytes, seconds: int) -> str:
    """Send it; the handle for its recall."""
    message = Message()
    message.topic = "reminders"
    message.body = body
    at(seconds)(message)
    return producer.send(message).recall_handle


def test_a_recall_can_be_repeated_but_must_not_be_late(rocketmq):
    reminders = Producer(configuration(rocketmq.settings), ["reminders"])
    with (
        started(reminders) as producer,
        consuming(rocketmq.settings, "reminder_listeners", "reminders") as consumer,
    ):
        handle = send_reminder(producer, b"recalled", 3)
        for _ in range(2):
            assert producer.recall_message("reminders", handle)
        late = send_reminder(producer, b"not recalled", 3)
        assert bodies(take(consumer, 1)) == ["not recalled"]
        for each in late, handle:
            with pytest.raises(InternalErrorException, match="timestamp invalid"):
                producer.recall_message("reminders", each)
        with pytest.raises(InternalErrorException, match="handle is invalid"):
            producer.recall_message("reminders", "of another world")


def test_a_message_for_the_day_after_tomorrow_is_refused(rocketmq):
    with pytest.raises(BadRequestException, match="max is 86400000"):
        send(rocketmq.settings, "reminders", b"too far", change=at(2 * 24 * 3600))


def test_a_reset_leaves_no_reminder_for_the_next_run(rocketmq):
    """A waiting message cannot be deleted: the reset waits for it."""
    send(rocketmq.settings, "reminders", b"of the run before", change=at(3))
    ended = lab("reset", "rocketmq/delayed", environment=rocketmq.environment)
    assert ended.status == 0
    assert setup(rocketmq.environment).status == 0
    with consuming(rocketmq.settings, "reminder_listeners", "reminders") as consumer:
        for _ in range(5):
            assert receive(consumer) == []


# Transactions


@pytest.mark.alone
@pytest.mark.timeout(300)
def test_an_open_transaction_is_asked_about_so_often_and_then_put_aside(new_broker):
    """With 2 for transactionCheckMax: its default, 15, would take 76 seconds."""
    rocketmq = new_broker("rocketmq")
    asked = []

    class Checker(TransactionChecker):
        def check(self, message):
            asked.append(time.time() - message.born_timestamp / 1000)
            return TransactionResolution.TRANSACTION_RESOLUTION_UNSPECIFIED

    def is_put_aside() -> bool:
        with suppress(RemotingError):  # until then there is no such topic
            return sum(offsets(rocketmq, "TRANS_CHECK_MAX_TIME_TOPIC").values()) == 1
        return False

    change = ("-c", "DefaultCluster", "-k", "transactionCheckMax", "-v", "2")
    lab(
        "admin",
        "rocketmq",
        "updateBrokerConfig",
        *change,
        environment=rocketmq.environment,
    )
    shop = Producer(configuration(rocketmq.settings), ["purchases"], Checker())
    with started(shop) as producer:
        message = Message()
        message.topic, message.body = "purchases", b"Night Train"
        producer.send(message, producer.begin_transaction())
        wait_until(is_put_aside, 60)
    first, second = asked
    # It is looked for each 5 seconds, and asked about when it is 6 seconds old; the
    # client says in whole seconds when it was born, up to one second too early.
    assert 6 <= first < 16
    assert second >= 11
    assert 4 < second - first < 10


# RPC


def test_a_reply_goes_on_to_another_client_as_long_as_that_one_waits(rocketmq):
    """In its properties it says until when; without that, nobody waits for it."""
    replies = "track_metadata_replies"
    for body, wait in (b"somebody waits", 60), (b"nobody any more", -1):
        until = with_properties(correlation_id="other", expires=str(time.time() + wait))
        send(rocketmq.settings, replies, body, change=until)
    send(rocketmq.settings, replies, b"nobody knows whose")
    ended = run(path_of("rpc_client"), environment=rocketmq.environment)
    assert ended.status == 1
    with consuming(rocketmq.settings, "metadata_clients", replies) as consumer:
        (left,) = take(consumer, 1)
        assert left.body == b"somebody waits"
        assert left.properties["correlation_id"] == "other"
        assert receive(consumer) == []


def test_a_request_that_is_too_large_to_repeat_does_not_stop_the_server(rocketmq):
    """With pipes, because a terminal is slow with a line of twelve million bytes."""
    environment = rocketmq.environment | {"PYTHONUNBUFFERED": "1"}
    server = start(path_of("rpc_server"), environment=environment)
    assert server.stdout.readline()
    send(rocketmq.settings, "track_metadata", b"\xff" * 4_000_000)
    for verb in "Looking up", "Answered":
        assert server.stdout.readline().startswith(f"{verb} \ufffd\ufffd")
    # Not before: in another queue of the topic, it might be the first one there.
    send(rocketmq.settings, "track_metadata", b"Night Train")
    assert server.stdout.readline() == "Looking up Night Train\n"


# Priority


def test_a_priority_is_the_number_of_a_queue(rocketmq):
    """Higher than the highest queue is the highest queue, in order."""
    for number in (0, 9, 1, 3, 2, 4):
        body = f"priority {number}".encode()
        change = with_priority(number)
        send(rocketmq.settings, "song_requests", body, change=change)
    assert offsets(rocketmq, "song_requests") == {0: 1, 1: 1, 2: 1, 3: 3}
    with consuming(rocketmq.settings, "jukebox", "song_requests") as consumer:
        received = bodies(take(consumer, 6))
    assert received == [f"priority {number}" for number in (9, 3, 4, 2, 1, 0)]
