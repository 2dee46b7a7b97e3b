"""What only RabbitMQ has: its RPC, its queues declared differently, its restart."""

import time
import uuid
from contextlib import contextmanager, suppress

import pika
import pytest

from tests.rows.rabbitmq import channel_to, publish
from tests.support import PATIENCE, Tab, finish, lab, run, script, start, wait_until

WORKER = script("rabbitmq_consumer.py").path
PRODUCER = script("rabbitmq_producer.py").path
SERVER = script("rabbitmq_rpc_server.py").path
CLIENT = script("rabbitmq_rpc_client.py").path
DEADLINE = 5  # seconds, of the RPC client


@pytest.fixture
def rabbitmq(live):
    return live("rabbitmq")


@pytest.fixture
def channel(rabbitmq):
    with channel_to(rabbitmq.settings) as channel:
        yield channel


@contextmanager
def in_order(consumer, rabbitmq):
    """Two tabs of a consumer, the second started when the first is ready."""
    with Tab(consumer, environment=rabbitmq.environment) as first:
        assert first.line()
        with Tab(consumer, environment=rabbitmq.environment) as second:
            assert second.line()
            yield first, second


# The work queue


def test_workers_take_turns(rabbitmq):
    """With both workers idle, the tasks go to one and the other, strictly in turn."""
    send = publish("", "music_tasks")
    with in_order(WORKER, rabbitmq) as (first, second):
        for number in range(6):
            send(rabbitmq.settings, f"track {number}".encode())
            worker = (first, second)[number % 2]
            assert worker.line() == f"Encoding track {number}"
            assert worker.line() == f"Finished track {number}"


def test_a_worker_killed_in_mid_task_loses_nothing(rabbitmq):
    with in_order(WORKER, rabbitmq) as (doomed, other):
        tasks = run(PRODUCER, environment=rabbitmq.environment).out
        assert len(tasks) == 6
        interrupted = doomed.line().removeprefix("Encoding ")
        doomed.child.kill(9)
        killed = time.monotonic()
        lines = []
        while f"Encoding {interrupted}" not in lines:
            lines.append(other.line())
            assert lines[-1]
        assert time.monotonic() - killed < 15
        while len(lines) < 2 * len(tasks):
            lines.append(other.line())
    finished = [line for line in lines if line.startswith("Finished ")]
    assert sorted(finished) == [task.replace("Sent", "Finished") for task in tasks]


def test_tasks_survive_a_restart(new_broker):
    """Durable queue, persistent messages, a broker that stops and starts again."""
    rabbitmq = new_broker("rabbitmq")
    sent = run(PRODUCER, environment=rabbitmq.environment).out
    rabbitmq.instance.stop()
    rabbitmq.instance.start(print)
    with Tab(WORKER, environment=rabbitmq.environment) as worker:
        for line in sent:
            worker.wait_for(line.replace("Sent", "Finished"))


@pytest.mark.parametrize(
    ("path", "queue"), [(WORKER, "music_tasks"), (SERVER, "track_metadata")]
)
def test_a_deleted_queue_ends_its_consumer(path, queue, rabbitmq, channel):
    with Tab(path, environment=rabbitmq.environment) as tab:
        assert tab.line()
        channel.queue_delete(queue)
        status, _, (line,) = tab.end()
        assert status == 1
        assert f"queue {queue} was deleted" in line


# First in, first out

FIFO = script("rabbitmq_fifo_consumer.py").path


@pytest.mark.parametrize("victim", ["active", "standby"])
def test_fifo_order_survives_a_killed_player(victim, rabbitmq):
    with in_order(FIFO, rabbitmq) as (active, standby):
        run(script("rabbitmq_fifo_producer.py").path, environment=rabbitmq.environment)
        assert active.line() == "Playing long track 1"
        killed, survivor = (
            (active, standby) if victim == "active" else (standby, active)
        )
        killed.child.kill(9)
        lines = [survivor.line() for _ in range(12 if victim == "active" else 11)]
    played = [line for line in lines if line.startswith("Played ")]
    assert played == ["Played long track 1"] + [
        f"Played track {n}" for n in range(2, 7)
    ]


# Dead letters


def test_x_death_says_why_and_where(rabbitmq, channel):
    """Each of the three reasons, with what RabbitMQ writes about it."""
    consumer = script("rabbitmq_dead_letter_consumer.py").path
    producer = script("rabbitmq_dead_letter_producer.py").path
    with Tab(consumer, environment=rabbitmq.environment) as tab:
        run(producer, environment=rabbitmq.environment)
        tab.wait_for("Rejected broken track 2")
    deaths = {}
    for method, properties, body in channel.consume(
        "dead_letters", auto_ack=True, inactivity_timeout=PATIENCE
    ):
        assert method, f"only {deaths}"
        (death,) = properties.headers["x-death"]
        assert death["count"] == 1
        assert death["exchange"] == ""
        assert death["routing-keys"] == [death["queue"]]
        deaths[body.decode()] = death["reason"], death["queue"]
        if len(deaths) == 3:
            break
    assert deaths == {
        "broken track 2": ("rejected", "uploads"),
        "request 3": ("expired", "live_requests"),
        "hit 4": ("maxlen", "latest_hits"),
    }


# Confirms

ASYNC = script("rabbitmq_confirms_async_producer.py").path
PAYMENTS = 5000


def payments_stored(rabbitmq) -> int:
    with channel_to(rabbitmq.settings) as channel:
        return payments_in_queue(channel)


def payments_in_queue(channel) -> int:
    return channel.queue_declare("royalties", durable=True).method.message_count


def kill_at_work(rabbitmq) -> None:
    """SIGKILL the broker as soon as it has the first payment, and without delay.

    All payments are sent within a third of a second: there is no time to look for the
    broker's processes, or to open a connection.
    """
    processes = rabbitmq.instance.processes()
    with suppress(pika.exceptions.AMQPError), channel_to(rabbitmq.settings) as channel:
        deadline = time.monotonic() + PATIENCE
        while not payments_in_queue(channel):
            assert time.monotonic() < deadline
        for process in processes:
            process.kill()
    rabbitmq.instance.kill()


def test_confirmed_messages_survive_the_death_of_the_broker(new_broker):
    rabbitmq = new_broker("rabbitmq")
    for path, *window in (
        [script("rabbitmq_confirms_producer.py").path], [ASYNC, "100"], [ASYNC]
    ):  # fmt: skip
        ended = finish(start(path, *window, environment=rabbitmq.environment), 60)
        assert ended.status == 0
        assert ended.out[0].startswith(f"Confirmed {PAYMENTS} payments")
    rabbitmq.instance.kill()
    rabbitmq.instance.start(print)
    assert payments_stored(rabbitmq) == 3 * PAYMENTS


@pytest.mark.parametrize("window", ["1", "100", str(PAYMENTS)])
def test_the_number_of_unconfirmed_messages_is_true(window, new_broker):
    """The broker dies in mid-run: what was confirmed is there, and little else."""
    rabbitmq = new_broker("rabbitmq")
    producer = start(ASYNC, window, environment=rabbitmq.environment)
    kill_at_work(rabbitmq)
    ended = finish(producer, 10)
    assert ended.status == 1
    (line,) = ended.error
    assert "python -m lab status rabbitmq" in line
    (count,) = ended.out
    unconfirmed = int(count.removesuffix(f" of {PAYMENTS} payments are not confirmed"))
    assert 0 < unconfirmed <= PAYMENTS
    rabbitmq.instance.start(print)
    confirmed = PAYMENTS - unconfirmed
    assert confirmed <= payments_stored(rabbitmq) <= confirmed + int(window)


def test_a_closed_channel_ends_the_asynchronous_producer(rabbitmq, channel):
    """The queue is another one than it declares: RabbitMQ closes its channel."""
    channel.queue_declare("royalties", durable=True, arguments={"x-max-length": 7})
    ended = run(ASYNC, environment=rabbitmq.environment)
    assert ended.status == 1
    assert ended.out == [f"{PAYMENTS} of {PAYMENTS} payments are not confirmed"]
    assert len(ended.error) == 1


def test_a_producer_that_waits_for_each_confirm_notices_the_end(new_broker):
    rabbitmq = new_broker("rabbitmq")
    path = script("rabbitmq_confirms_producer.py").path
    producer = start(path, environment=rabbitmq.environment)
    kill_at_work(rabbitmq)
    ended = finish(producer, 10)
    assert ended.status == 1
    assert ended.out == []
    (line,) = ended.error
    assert "python -m lab status rabbitmq" in line


# Routing and topic


ROCK = ["music.rock.classic", "music.rock.indie"]
LIVE = "music.rock.indie.live"
POP = "music.pop.hits"
NEWS = "podcast.news"


def check_received(rabbitmq, pattern: str, *arguments: str, keys: list[str]) -> None:
    """With these arguments the consumer gets the producer's messages of these keys."""
    consumer = script(f"rabbitmq_{pattern}_consumer.py").path
    producer = script(f"rabbitmq_{pattern}_producer.py").path
    with Tab(consumer, *arguments, environment=rabbitmq.environment) as tab:
        assert tab.line()
        run(producer, environment=rabbitmq.environment)
        for key in keys:
            assert tab.line().startswith(f"Received {key}: ")
        tab.press_ctrl_c()
        assert tab.end() == (0, None, [])


@pytest.mark.parametrize(
    ("patterns", "keys"),
    [
        ([], [ROCK[0], POP, ROCK[1], LIVE, NEWS]),
        (["music.rock.#"], [*ROCK, LIVE]),
        (["*.news", "music.pop.*"], [POP, NEWS]),
        (["music.*.hits", "music.pop.*"], [POP]),  # fits both, delivered once
        (["music"], []),
    ],
)
def test_topic_patterns(patterns, keys, rabbitmq):
    check_received(rabbitmq, "topic", *patterns, keys=keys)


def test_routing_without_arguments_gets_everything(rabbitmq):
    keys = ["info", "warning", "error", "critical", "info"]
    check_received(rabbitmq, "routing", keys=keys)


# RPC


class Server:
    """The other side of the client: takes its request, sends what replies it likes."""

    def __init__(self, channel):
        self.channel = channel
        channel.queue_declare("track_metadata", durable=True)
        self.request: pika.BasicProperties | None = None

    def wait_for_request(self) -> None:
        def arrived() -> bool:
            _, self.request, self.body = self.channel.basic_get("track_metadata", True)
            return self.request is not None

        wait_until(arrived)

    def reply(self, text: str, *, stale: bool = False, kind: str = "metadata") -> None:
        request_id = str(uuid.uuid4()) if stale else self.request.correlation_id
        properties = pika.BasicProperties(correlation_id=request_id, type=kind)
        self.channel.basic_publish("", self.request.reply_to, text.encode(), properties)


@pytest.fixture
def server(channel):
    return Server(channel)


def test_rpc_ignores_a_stale_reply(rabbitmq, server):
    client = start(CLIENT, "Night Train", environment=rabbitmq.environment)
    server.wait_for_request()
    server.reply("not for you", stale=True)
    server.reply("for you")
    ended = finish(client)
    assert ended.status == 0
    assert ended.out == ["Requested Night Train", "Received Night Train: for you"]


def test_rpc_stale_replies_do_not_prolong_the_wait(rabbitmq, server):
    client = start(CLIENT, environment=rabbitmq.environment)
    server.wait_for_request()
    began = time.monotonic()
    while client.poll() is None:
        assert time.monotonic() < began + 2 * DEADLINE
        server.reply("not for you", stale=True)
        server.channel.connection.sleep(1)
    ended = finish(client)
    # The wait began a little before the request was seen, and is looked at each second.
    assert DEADLINE - 1 <= time.monotonic() - began <= DEADLINE + 2
    assert ended.status == 1
    assert ended.error == [
        "No reply within 5 seconds. Is rabbitmq_rpc_server.py running?"
    ]


def test_rpc_without_a_server_takes_five_seconds(rabbitmq):
    began = time.monotonic()
    ended = run(CLIENT, environment=rabbitmq.environment)
    assert DEADLINE <= time.monotonic() - began <= DEADLINE + 2
    assert ended.status == 1
    assert len(ended.error) == 1


def test_rpc_request_expires_with_the_wait(rabbitmq, server):
    client = start(CLIENT, environment=rabbitmq.environment)
    server.wait_for_request()
    assert server.request.expiration == str(DEADLINE * 1000)
    server.reply("done")
    assert finish(client).status == 0


def test_rpc_error_answer_is_one_line_and_status_1(rabbitmq):
    with Tab(SERVER, environment=rabbitmq.environment) as server:
        assert server.line()
        ended = run(CLIENT, "Lost Song", environment=rabbitmq.environment)
    assert ended.status == 1
    assert ended.error == ["Unknown track: Lost Song"]


def test_rpc_each_client_gets_its_own_reply(rabbitmq):
    with Tab(SERVER, environment=rabbitmq.environment) as server:
        assert server.line()
        titles = "Night Train", "Harbour Lights", "Night Train"
        clients = [
            start(CLIENT, title, environment=rabbitmq.environment) for title in titles
        ]
        for title, client in zip(titles, clients, strict=True):
            ended = finish(client)
            assert ended.status == 0
            assert ended.out[1].startswith(f"Received {title}: ")


@pytest.mark.parametrize("body", [b"\xff\xfe", b"", b"[1, 2]"])
def test_rpc_answers_a_request_that_cannot_be_read(body, rabbitmq, channel):
    """With an error, under the request's correlation id."""
    reply_queue = channel.queue_declare("", exclusive=True).method.queue
    with Tab(SERVER, environment=rabbitmq.environment) as server:
        assert server.line()
        properties = pika.BasicProperties(reply_to=reply_queue, correlation_id="7")
        channel.basic_publish("", "track_metadata", body, properties)
        for method, reply, text in channel.consume(reply_queue, inactivity_timeout=15):
            assert method, "no reply"
            assert (reply.type, reply.correlation_id) == ("error", "7")
            assert text.startswith(b"Unknown track")
            break


@pytest.mark.parametrize(
    "reply_to", [None, "", "no-such-queue", "amq.rabbitmq.reply-to.no-such-client"]
)
def test_rpc_server_survives_a_client_that_cannot_be_reached(
    reply_to, rabbitmq, channel
):
    with Tab(SERVER, environment=rabbitmq.environment) as server:
        assert server.line()
        lost = pika.BasicProperties(reply_to=reply_to, correlation_id="1")
        channel.basic_publish("", "track_metadata", b"Lost Song", lost)
        server.wait_for("Answered Lost Song")
        assert run(CLIENT, environment=rabbitmq.environment).status == 0


# Something of the same name that is declared differently


@pytest.mark.parametrize(
    ("kind", "name", "scripts"),
    [
        ("queue", "music_tasks", ("producer", "consumer")),
        ("queue", "playlist_single", ("fifo_producer", "fifo_consumer")),
        ("exchange", "booklets", ("headers_producer", "headers_consumer")),
        ("queue", "uploads", ("dead_letter_producer", "dead_letter_consumer")),
        ("queue", "dead_letters", ("dead_letter_reader", "retry_producer")),
        (
            "queue",
            "royalties",
            ("confirms_producer", "confirms_async_producer", "confirms_consumer"),
        ),
        ("queue", "listening_history", ("stream_producer", "stream_consumer")),
        ("queue", "imports", ("quorum_producer", "quorum_consumer")),
        ("queue", "song_requests", ("priority_producer", "priority_consumer")),
        ("queue", "downloads", ("retry_producer", "retry_consumer")),
        ("queue", "albums", ("long_task_producer", "long_task_consumer")),
        ("queue", "albums", ("long_task_naive_consumer",)),
        ("exchange", "new_releases", ("fanout_producer", "fanout_consumer")),
        ("exchange", "service_logs", ("routing_producer", "routing_consumer")),
        ("exchange", "catalogue", ("topic_producer", "topic_consumer")),
        ("queue", "track_metadata", ("rpc_server", "rpc_client")),
    ],
)
def test_declared_differently(kind, name, scripts, rabbitmq, channel):
    """One line that names the cure, and the cure works."""
    if kind == "queue":
        channel.queue_declare(name, durable=True, arguments={"x-max-length": 7})
    else:
        channel.exchange_declare(
            name, "direct" if name != "service_logs" else "fanout", durable=True
        )
    for each in scripts:
        path = script(f"rabbitmq_{each}.py").path
        ended = run(path, environment=rabbitmq.environment)
        assert ended.status == 1
        (line,) = ended.error
        assert "PRECONDITION_FAILED" in line
        assert name in line
        assert "python -m lab reset rabbitmq" in line

    reset = lab("reset", "rabbitmq", environment=rabbitmq.environment)
    assert reset.status == 0, reset
    for each in scripts:
        path = script(f"rabbitmq_{each}.py").path
        with Tab(path, environment=rabbitmq.environment) as tab:
            assert "PRECONDITION_FAILED" not in tab.line()
            if not script(path.name).goes_on and "rpc" not in path.name:
                assert tab.end()[0] == 0
