"""What is ActiveMQ's own: what its README says and no walkthrough shows."""

import queue
import time

import pytest
import stomp

from lab.broker import Content, Report, Thing
from lab.brokers.activemq import ACTIVEMQ, BROKER, contents, delete, endpoints, jolokia
from tests.rows.activemq import client_of, publish
from tests.support import PATIENCE, Tab, finish, lab, run, script, start, wait_until


@pytest.fixture
def activemq(live):
    return live("activemq")


def path(name: str):
    return script(f"activemq_{name}.py").path


def waiting(broker, name: str) -> int:
    """How many messages ActiveMQ counts in a queue."""
    thing = Thing("queue", name)
    return sum(c.messages for c in contents(broker.settings) if c.thing == thing)


def test_persistence_is_a_header(new_broker):
    """Without it, a message that had its receipt is gone after a restart."""
    broker = new_broker("activemq")
    publish("/queue/music_tasks")(broker.settings, b"in memory")
    publish("/queue/music_tasks", persistent="true")(broker.settings, b"on disk")
    assert waiting(broker, "music_tasks") == 2
    broker.instance.stop()
    broker.instance.start(Report())
    with client_of(broker.settings) as client:
        client.subscribe("/queue/music_tasks")
        assert client.take("MESSAGE").body == b"on disk"
        with pytest.raises(queue.Empty):
            client.take("MESSAGE", seconds=1)


def test_a_killed_workers_message_comes_back_without_end(activemq):
    """Redelivered, uncounted, and never a dead letter."""
    publish("/queue/uploads", persistent="true")(activemq.settings, b"broken track")
    for number in range(12):
        with client_of(activemq.settings) as client:
            client.connection.subscribe("/queue/uploads", "1", ack="client-individual")
            message = client.take("MESSAGE")
            assert message.body == b"broken track"
            assert ("redelivered" in message.headers) == (number > 0)
    wait_until(lambda: waiting(activemq, "uploads") == 1)
    assert waiting(activemq, "DLQ.uploads") == 0


def test_a_rejected_import_comes_back_after_a_second(activemq):
    publish("/queue/imports", persistent="true")(activemq.settings, b"broken")
    with client_of(activemq.settings) as client:
        client.connection.subscribe("/queue/imports", "1", ack="client-individual")
        message = client.take("MESSAGE")
        for _ in range(2):
            rejected = time.monotonic()
            client.connection.nack(message.headers["ack"])
            message = client.take("MESSAGE")
            assert time.monotonic() - rejected > 0.9
        client.connection.nack(message.headers["ack"])
    wait_until(lambda: waiting(activemq, "DLQ.imports") == 1)
    wait_until(lambda: waiting(activemq, "imports") == 0)  # a moment after the copy


def test_an_expired_request_is_no_dead_letter(activemq):
    soon = str(int(time.time() * 1000) + 1000)
    for name in ("track_metadata", "live_requests"):
        publish(f"/queue/{name}", expires=soon, persistent="true")(
            activemq.settings, b"late"
        )
    wait_until(lambda: waiting(activemq, "DLQ.live_requests") == 1)
    wait_until(lambda: waiting(activemq, "track_metadata") == 0)
    assert waiting(activemq, "DLQ.track_metadata") == 0


def test_what_expires_while_it_is_deleted_is_deleted_too(activemq, monkeypatch):
    """By then it is a dead letter, in a queue that nobody had seen before."""
    activemq_things = ACTIVEMQ.creates["dead-letter"]
    soon = str(int(time.time() * 1000) + 1000)
    publish("/queue/live_requests", expires=soon, persistent="true")(
        activemq.settings, b"late"
    )

    def seen_before_it_expires(settings):
        found = contents(settings)
        wait_until(lambda: waiting(activemq, "DLQ.live_requests") == 1)
        monkeypatch.undo()
        return found

    monkeypatch.setattr("lab.brokers.activemq.contents", seen_before_it_expires)
    delete(activemq.settings, activemq_things)
    left = {content.thing for content in contents(activemq.settings)}
    assert not left & set(activemq_things)


def test_a_queue_with_less_than_no_consumers_is_deleted(activemq, monkeypatch):
    """ActiveMQ counts so at times: a consumer left while its queue was made again."""
    publish("/queue/uploads")(activemq.settings, b"track 1")

    def one_less(settings, *requests):
        answers = jolokia(settings, *requests)
        for answer in answers:
            if "ConsumerCount" in answer["request"].get("attribute", ()):
                for values in answer["value"].values():
                    values["ConsumerCount"] -= 1
        return answers

    monkeypatch.setattr("lab.brokers.activemq.jolokia", one_less)
    (found,) = contents(activemq.settings)
    assert found == Content(Thing("queue", "uploads"), messages=1, consumers=0)
    delete(activemq.settings, [found.thing])
    assert not contents(activemq.settings)


def test_a_message_that_is_not_persistent_can_die_too(activemq):
    """By ActiveMQ's default it would be thrown away."""
    with Tab(path("dead_letter_consumer"), environment=activemq.environment) as tab:
        assert tab.line()
        publish("/queue/uploads")(activemq.settings, b"broken")
        tab.wait_for("Rejected broken")
    wait_until(lambda: waiting(activemq, "DLQ.uploads") == 1)


def test_the_filter_of_headers_is_in_activemq(activemq, record):
    """What does not match is not dispatched: by ActiveMQ's own counter."""
    command = path("headers_consumer"), "all", "format=pdf", "language=fr"
    with Tab(*command, environment=activemq.environment) as tab:
        assert tab.line()
        run(path("headers_producer"), environment=activemq.environment)
        assert tab.line() == "Received Night Train (pdf fr)"
        (answer,) = jolokia(
            activemq.settings,
            {
                "type": "read",
                "mbean": f"{BROKER},destinationType=Topic,destinationName=booklets,"
                "endpoint=Consumer,*",
                "attribute": "DispatchedCounter",
            },
        )
        (subscription,) = answer["value"].values()
        assert subscription["DispatchedCounter"] == 1
    record("behaviours", "filter", "activemq", "the broker")


@pytest.mark.parametrize("name", ["2nd", "and", "a b"])
def test_a_selector_that_activemq_refuses_is_one_line(name, activemq):
    ended = run(
        path("headers_consumer"), "all", f"{name}=x", environment=activemq.environment
    )
    assert ended.status == 1
    assert ended.out == []
    (line,) = ended.error
    assert line == f"ActiveMQ does not understand the selector {name} = 'x'"


def test_a_quote_in_a_selector(activemq):
    command = path("headers_consumer"), "all", "format=d'or"
    with Tab(*command, environment=activemq.environment) as tab:
        assert tab.line() == "Waiting for all of format=d'or. Press Ctrl-C to stop."
        publish("/topic/booklets", format="d'or")(activemq.settings, b"Gold")
        assert tab.line() == "Received Gold (d'or no)"


def test_overlapping_patterns_get_a_message_once(activemq):
    command = path("topic_consumer"), "music.rock.*", ">", "music.>"
    with Tab(*command, environment=activemq.environment) as tab:
        assert tab.line()
        run(path("topic_producer"), environment=activemq.environment)
        assert [tab.line().split(":")[0] for _ in range(5)] == [
            "Received music.rock.classic",
            "Received music.pop.hits",
            "Received music.rock.indie",
            "Received music.rock.indie.live",
            "Received podcast.news",
        ]


def test_the_wildcard_for_any_number_stands_for_none_too(activemq):
    command = path("topic_consumer"), "music.rock.classic.>"
    with Tab(*command, environment=activemq.environment) as tab:
        assert tab.line()
        run(path("topic_producer"), environment=activemq.environment)
        assert tab.line() == "Received music.rock.classic: Stone Bridge"


def test_an_aborted_payday_pays_nothing(activemq):
    """A producer that dies before its commit leaves nothing."""
    with client_of(activemq.settings) as client:
        client.connection.begin(transaction="payday")
        client.send("/queue/royalties", b"payment 1", transaction="payday")
        assert waiting(activemq, "royalties") == 0
    assert waiting(activemq, "royalties") == 0


def test_ctrl_c_among_the_confirms_is_silent(activemq):
    path_of_it = path("confirms_async_producer")
    with Tab(path_of_it, "1", environment=activemq.environment) as tab:
        wait_until(lambda: waiting(activemq, "royalties") > 0)
        tab.press_ctrl_c()
        assert tab.end() == (0, None, [])


def test_a_full_queue_is_empty_for_the_next_run(activemq):
    for _ in range(2):
        ended = finish(
            start(path("confirms_producer"), environment=activemq.environment), 60
        )
        assert ended.status == 0
        assert ended.out[2] == "Refused by ActiveMQ: payment too many"
    wait_until(lambda: waiting(activemq, "small_royalties") == 0)


def test_heartbeats_go_on_while_a_task_is_worked_on(activemq):
    """The listener only puts frames away. One that works loses its connection.

    This is the claim behind the class Inbox: shown by its opposite.
    """

    class Worker(stomp.ConnectionListener):
        def __init__(self):
            self.ended = queue.Queue()

        def on_message(self, frame):
            time.sleep(4)  # the task, longer than stomp.py waits for a sign of life

        def on_disconnected(self):
            self.ended.put(time.monotonic())

    worker = Worker()
    connection = stomp.Connection12(
        endpoints(activemq.settings),
        heartbeats=(500, 500),
        heart_beat_receive_scale=3,  # else it would be lost without a task, too
    )
    connection.set_listener("", worker)
    connection.connect("admin", "admin", wait=True)
    connection.subscribe("/queue/music_tasks", "1")
    publish("/queue/music_tasks")(activemq.settings, b"long task")
    assert worker.ended.get(timeout=PATIENCE)


def test_a_listener_that_raises_loses_the_connection(activemq):
    """Why the scripts do their work, and make their mistakes, in the main thread."""

    class Raising(stomp.ConnectionListener):
        def __init__(self):
            self.ended = queue.Queue()

        def on_message(self, frame):
            raise ValueError("a mistake in the task")

        def on_disconnected(self):
            self.ended.put(True)

    listener = Raising()
    connection = stomp.Connection12(endpoints(activemq.settings))
    connection.set_listener("", listener)
    connection.connect("admin", "admin", wait=True)
    connection.subscribe("/queue/music_tasks", "1", ack="client-individual")
    publish("/queue/music_tasks")(activemq.settings, b"poison")
    assert listener.ended.get(timeout=PATIENCE)
    wait_until(lambda: waiting(activemq, "music_tasks") == 1)  # it is not lost


def test_a_stomp_connector_that_is_off(new_broker):
    broker = new_broker("activemq")
    stop = {
        "type": "exec",
        "mbean": f"{BROKER},connector=clientConnectors,connectorName=stomp",
        "operation": "stop",
    }
    (answer,) = jolokia(broker.settings, stop)
    assert answer["status"] == 200
    status = lab("status", "activemq", environment=broker.environment)
    assert status.status == 1
    (line,) = status.out
    assert line.startswith("ActiveMQ cannot be used (it runs, local, ")
    assert "its STOMP connector is off" in line


def test_reset_empties_what_somebody_reads(activemq):
    """A queue with a consumer cannot be removed: its messages can."""
    with Tab(path("fifo_consumer"), environment=activemq.environment) as tab:
        assert tab.line()
        run(path("fifo_producer"), environment=activemq.environment)
        assert tab.line() == "Playing long track 1"
        ended = lab("reset", "activemq/fifo", "--yes", environment=activemq.environment)
        assert ended.status == 0
        assert waiting(activemq, "playlist") == 0
        assert Thing("queue", "playlist") in activemq.row.things(activemq.settings)
        assert tab.line() == "Played long track 1"
        run(path("fifo_producer"), environment=activemq.environment)
        assert tab.line() == "Playing long track 1"  # it still hears


def test_show_says_what_waits_and_who_reads(activemq):
    run(path("producer"), environment=activemq.environment)
    with Tab(path("fanout_consumer"), environment=activemq.environment) as tab:
        assert tab.line()
        shown = lab("show", "activemq", environment=activemq.environment)
    assert shown.status == 0
    rows = [line.split() for line in shown.out[1:]]
    assert rows == [["queue", "music_tasks", "6", "0"], ["topic", "new_releases", "1"]]
