"""What only RabbitMQ has: round robin, x-death, queues declared differently."""

import pika
import pytest

from lab.broker import Report
from lab.brokers.rabbitmq import management
from tests.rows.rabbitmq import channel_to, publish
from tests.support import (
    PATIENCE,
    Tab,
    finish,
    in_order,
    lab,
    run,
    script,
    start,
    wait_until,
)

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


# The work queue


def test_workers_take_turns(rabbitmq):
    """With both workers idle, the tasks go to one and the other, strictly in turn."""
    send = publish("", "music_tasks")
    with in_order(WORKER, rabbitmq.environment) as (first, second):
        for number in range(6):
            send(rabbitmq.settings, f"track {number}".encode())
            worker = (first, second)[number % 2]
            assert worker.line() == f"Encoding track {number}"
            assert worker.line() == f"Finished track {number}"


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


def test_persistence_is_a_property(new_broker):
    """Without it, what was confirmed is gone after a restart, but for quorum queues."""
    broker = new_broker("rabbitmq")
    for kind in ("classic", "quorum"):
        with channel_to(broker.settings) as channel:
            arguments = {"x-queue-type": kind}
            channel.queue_declare(kind, durable=True, arguments=arguments)
        publish("", kind)(broker.settings, b"in memory")
        publish("", kind, delivery_mode=2)(broker.settings, b"on disk")
    broker.instance.stop()
    broker.instance.start(Report())
    with channel_to(broker.settings) as channel:
        assert bodies(channel, "classic") == [b"on disk"]
        assert bodies(channel, "quorum") == [b"in memory", b"on disk"]


def bodies(channel, queue: str) -> list[bytes]:
    """What is there; taken."""
    found = []
    while (answer := channel.basic_get(queue, auto_ack=True))[0]:
        found.append(answer[2])
    return found


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


# Headers


def test_the_filter_of_headers_is_in_rabbitmq(rabbitmq, record):
    """Four get into the exchange, one into the queue: by RabbitMQ's own counters."""

    def counted(path: str, name: str) -> int:
        found = management(rabbitmq.settings, path)
        (found,) = found if isinstance(found, list) else [found]
        return found.get("message_stats", {}).get(name, 0)

    with Tab(
        script("rabbitmq_headers_consumer.py").path, environment=rabbitmq.environment
    ) as tab:
        assert tab.line()
        run(
            script("rabbitmq_headers_producer.py").path,
            environment=rabbitmq.environment,
        )
        assert tab.line() == "Received Night Train (pdf fr)"
        wait_until(lambda: counted("exchanges/%2F/booklets", "publish_in") == 4)
        wait_until(lambda: counted("queues/%2F", "publish") > 0)
        assert counted("queues/%2F", "publish") == 1
    record("behaviours", "filter", "rabbitmq", "the broker")


# Quorum


def test_a_message_that_kills_each_worker_is_taken_away(rabbitmq, tmp_path):
    consumer = script("rabbitmq_quorum_consumer.py").path
    doomed = tmp_path / consumer.name
    failure = "channel.close()"
    assert consumer.read_text().count(failure) == 1
    killed = "os.kill(os.getpid(), 9)"
    doomed.write_text(consumer.read_text().replace(failure, killed))
    producer = script("rabbitmq_quorum_producer.py").path
    assert run(producer, environment=rabbitmq.environment).status == 0
    reader = script("rabbitmq_dead_letter_reader.py").path
    with Tab(reader, environment=rabbitmq.environment) as tab:
        assert tab.line()
        for attempt in range(1, 4):
            with Tab(doomed, environment=rabbitmq.environment) as worker:
                worker.wait_for(f"Importing poison file 2, attempt {attempt}")
                worker.end()
        assert tab.line() == "Read poison file 2: delivery_limit in imports"
    with Tab(consumer, environment=rabbitmq.environment) as worker:
        worker.wait_for("Finished file 3")


# Confirms


def test_what_no_queue_takes_is_confirmed_all_the_same(channel):
    channel.confirm_delivery()  # from here on, an error where it is not confirmed
    channel.basic_publish("", "nowhere", b"a payment")
    with pytest.raises(pika.exceptions.UnroutableError):
        channel.basic_publish("", "nowhere", b"a payment", mandatory=True)


def test_a_closed_channel_ends_the_asynchronous_producer(rabbitmq, channel):
    """The queue is another one than it declares: RabbitMQ closes its channel."""
    channel.queue_declare("royalties", durable=True, arguments={"x-max-length": 7})
    path = script("rabbitmq_confirms_async_producer.py").path
    ended = run(path, environment=rabbitmq.environment)
    assert ended.status == 1
    assert ended.out == ["5000 of 5000 payments are not confirmed"]
    assert len(ended.error) == 1


# RPC


def test_rpc_request_expires_with_the_wait(rabbitmq):
    client = start(CLIENT, environment=rabbitmq.environment)
    with rabbitmq.row.rpc_server(rabbitmq.settings) as server:
        server.wait_for_request()
        assert server.request.expiration == "5000"  # milliseconds
        server.reply("done")
    assert finish(client).status == 0


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
