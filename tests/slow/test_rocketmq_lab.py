"""The lab and RocketMQ: its own tool, what is shown and deleted, what is wrong."""

import json
import re
import runpy
import socketserver
import struct
import threading
import time
from contextlib import contextmanager
from dataclasses import replace

import pytest

from lab.broker import Report, Thing, Unavailable
from lab.brokers.rocketmq import BROKER_CONF, ROCKETMQ, broker, contents, timed
from tests.rocketmq_client import bodies, consuming, receive, set_topic, take
from tests.rows.rocketmq import in_group, send, things
from tests.support import Tab, lab, run, script, wait_until

TASKS = [f"track {number}" for number in range(1, 7)]


@pytest.fixture
def rocketmq(live):
    """With the tutorial's topics and groups; what a test adds is gone after it."""
    broker = live("rocketmq")
    yield broker
    ROCKETMQ.delete(broker.settings, [Thing("topic", "drafts")])


def admin(rocketmq, *arguments: str, **changed: str):
    environment = {**rocketmq.environment, **changed}
    return lab("admin", "rocketmq", *arguments, environment=environment)


def rows(rocketmq) -> dict[str, list[str]]:
    """What `lab show` prints below its head line: a thing, and its figures."""
    shown = lab("show", "rocketmq", environment=rocketmq.environment)
    assert shown.status == 0, shown
    split = [re.split(r" {2,}", line.rstrip()) for line in shown.out[1:]]
    return {name: figures for name, *figures in split}


def status_line(rocketmq, **changed: str) -> str:
    ended = lab("status", "rocketmq", environment={**rocketmq.environment, **changed})
    assert ended.status == 1, ended
    (line,) = ended.out + ended.error
    return line


def send_tasks(rocketmq) -> None:
    producer = script("rocketmq_producer.py").path
    assert run(producer, environment=rocketmq.environment).status == 0


def test_what_the_setup_makes_is_what_the_lab_deletes():
    """No topic or group more, and none less."""
    setup = runpy.run_path(str(script("rocketmq_setup.py").path))
    made = {Thing("topic", name) for name in setup["TOPICS"]}
    made |= {Thing("consumer group", name) for name in setup["GROUPS"]}
    assert made == set(ROCKETMQ.all_things())


# up


def test_a_broker_that_has_missed_the_name_server_is_asked_to_register(prepare):
    """Here it misses it for sure: the name server comes last, and the broker would try
    again only after ten minutes."""
    instance = prepare("rocketmq").instance
    name_server, broker = ROCKETMQ.processes
    settings = ROCKETMQ.files["broker.conf"] + "disappearTimeAfterStart=600000\n"
    instance.broker = replace(
        ROCKETMQ,
        processes=(
            replace(broker, after=None),
            replace(name_server, after="ROCKETMQ_PROXY_PORT"),
        ),
        files={**ROCKETMQ.files, "broker.conf": settings},
    )
    assert instance.start(Report()) == "5.5.0"
    instance.kill()


# admin


def readme_commands() -> list[str]:
    text = (ROCKETMQ.folder / "README.md").read_text()
    return re.findall(r"^\| `python -m lab admin rocketmq (.+?)` \|", text, re.M)


@pytest.mark.timeout(300)
def test_the_readmes_commands(rocketmq):
    """Told by a word that the README has for each, or that it would miss."""
    send_tasks(rocketmq)
    said = {}
    for command in readme_commands():
        ended = admin(rocketmq, *command.split())
        assert (ended.status, ended.error) == (0, []), ended
        said[command.split()[0]] = "\n".join(ended.out)
    address = f"127.0.0.1:{rocketmq.settings['ROCKETMQ_BROKER_PORT']}"
    assert re.search(rf"broker-a +0 +{re.escape(address)} +V5_5_0", said["clusterList"])
    assert {"music_tasks", "SCHEDULE_TOPIC_XXXX"} <= {*said["topicList"].split()}
    queues = re.findall(r"broker-a +(\d) +(\d) +(\d)", said["topicStatus"])
    assert sum(int(last) - int(first) for _, first, last in queues) == 6
    assert "Consume Diff Total: 6" in said["consumerProgress"]
    settings = dict(re.findall(r"(\w+) += +(\S+)", said["getBrokerConfig"]))
    named = re.findall(r"`(\w+) = (\w+)`", (ROCKETMQ.folder / "README.md").read_text())
    assert len(named) == 3
    assert dict(named).items() <= settings.items()
    # RocketMQ says nothing of a name in its file that it does not know.
    in_file = re.findall(r"^(\w+)=(\S+)$", BROKER_CONF, re.M)
    assert len(in_file) > 10
    assert dict(in_file).items() <= settings.items()
    assert f"create topic to {address} success" in said["updateTopic"]
    assert Thing("topic", "drafts") in things(rocketmq.settings)
    assert len(said) == 6

    ended = admin(rocketmq, "deleteTopic", "-c", "DefaultCluster", "-t", "drafts")
    assert "delete topic [drafts] from cluster [DefaultCluster] success." in ended.out
    wait_until(lambda: Thing("topic", "drafts") not in things(rocketmq.settings))


def test_consumer_progress_without_a_topic_is_an_error(rocketmq):
    """Status 0 all the same: both are what the README says."""
    ended = admin(rocketmq, "consumerProgress", "-g", "encoders")
    assert ended.status == 0
    assert any("No topic route info" in line for line in ended.error)


def test_admin_hands_on_arguments_and_the_exit_status(rocketmq):
    """--help and -h are the lab's own, what comes behind is the tool's."""
    ended = admin(rocketmq, "topicStatus")
    assert ended.status == 1
    assert any("Missing required option: t" in line for line in ended.error)
    for option in "--help", "-h":
        ended = admin(rocketmq, option)
        assert ended.status == 0
        assert ended.out[0].startswith("Usage: python -m lab admin")
    ended = admin(rocketmq, "help", "topicList")
    assert "usage: mqadmin topicList" in ended.out[0]


def test_admin_says_that_there_is_no_name_server(rocketmq):
    ended = admin(rocketmq, "clusterList", ROCKETMQ_NAMESRV_ADDR="localhost:1")
    assert any("connect to 127.0.0.1:1 failed" in line for line in ended.error), ended


def test_admin_refuses_a_broker_without_a_tool(rocketmq):
    ended = lab("admin", "rabbitmq", "list", environment=rocketmq.environment)
    assert (ended.status, ended.out) == (2, [])
    assert "'rabbitmq' is not 'rocketmq'" in ended.error[-1]


# show


def test_show_says_what_waits_and_who_consumes(rocketmq):
    send_tasks(rocketmq)
    # It has never been there: RocketMQ does not know what it has yet to consume. One
    # that the test before has stopped is counted for a moment.
    wait_until(lambda: rows(rocketmq)["consumer group encoders"] == ["0"])
    assert rows(rocketmq)["topic music_tasks"] == ["6"]
    worker = script("rocketmq_consumer.py").path
    with Tab(worker, environment=rocketmq.environment) as tab:
        tab.wait_for("Finished track *")
        wait_until(lambda: rows(rocketmq)["consumer group encoders"][-1] == "1")
        for _ in range(5):
            tab.wait_for("Finished track *")
        wait_until(lambda: rows(rocketmq)["consumer group encoders"] == ["0", "1"])
    assert rows(rocketmq)["topic music_tasks"] == ["6"]  # it keeps them


# reset


def make_drafts(rocketmq) -> None:
    set_topic(rocketmq.settings, "drafts", "NORMAL", queues=1)


def reset(rocketmq, what: str) -> None:
    ended = lab("reset", what, environment=rocketmq.environment)
    assert ended.status == 0, ended
    assert ended.out[-1].startswith("Gone from RocketMQ: ")


def test_reset_deletes_what_the_tutorial_made_and_nothing_else(rocketmq):
    make_drafts(rocketmq)
    reset(rocketmq, "rocketmq")
    assert things(rocketmq.settings) == {Thing("topic", "drafts")}


def test_reset_of_the_classic_scripts(rocketmq):
    before = things(rocketmq.settings)
    reset(rocketmq, "rocketmq/classic")
    gone = before - things(rocketmq.settings)
    assert gone == set(ROCKETMQ.creates["classic"])
    assert {thing.name for thing in gone} == {
        *("classic_tasks", "classic_releases"),
        *("classic_encoders", "classic_listeners"),
    }


def tasks_after_a_reset(rocketmq, seconds: float) -> list[str]:
    """What a worker gets in so many seconds that is sent after it."""
    reset(rocketmq, "rocketmq/work-queue")
    ROCKETMQ.run_setup(rocketmq.settings)
    send_tasks(rocketmq)
    with consuming(rocketmq.settings, "encoders", "music_tasks") as consumer:
        taken = bodies(take(consumer, 6))
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            taken += bodies(receive(consumer))
    return sorted(taken)


@pytest.mark.timeout(300)
def test_reset_takes_along_what_a_killed_worker_had(rocketmq):
    """Its note would show the new topic's message at the same place a second time."""
    send_tasks(rocketmq)
    worker = script("rocketmq_consumer.py").path
    with Tab(worker, environment=rocketmq.environment) as tab:
        tab.wait_for("Encoding track *")
    # A note is acted upon after 10 to 13 seconds.
    assert tasks_after_a_reset(rocketmq, 14) == TASKS


@pytest.mark.timeout(300)
def test_reset_takes_along_what_was_taken_before_the_broker_was_killed(new_broker):
    """From then on RocketMQ's own count of the notes is wrong: here, one less."""
    rocketmq = new_broker("rocketmq")
    send_tasks(rocketmq)
    with consuming(rocketmq.settings, "encoders", "music_tasks") as consumer:
        wait_until(lambda: receive(consumer, seconds=25))
        with broker(rocketmq.settings) as connection:
            wait_until(lambda: timed(connection))  # the note is there, and counted
        rocketmq.instance.kill()
    for path in (rocketmq.instance.home / "data/config").glob("timermetrics*"):
        path.unlink()  # it is written each second: this is a power cut right before
    rocketmq.instance.start(Report())
    assert tasks_after_a_reset(rocketmq, 20) == TASKS


@pytest.mark.timeout(300)
def test_reset_forgets_what_a_killed_player_had(rocketmq):
    player = script("rocketmq_fifo_consumer.py").path
    producer = script("rocketmq_fifo_producer.py").path
    for _ in range(2):
        assert run(producer, environment=rocketmq.environment).status == 0
        with Tab(player, environment=rocketmq.environment) as tab:
            tab.wait_for("Playing long track 1")
        reset(rocketmq, "rocketmq/fifo")
        ROCKETMQ.run_setup(rocketmq.settings)
    send(rocketmq.settings, "playlist_single", b"a track", change=in_group("playlist"))
    with consuming(rocketmq.settings, "players_single", "playlist_single") as consumer:
        (message,) = take(consumer, 1)
    # It has no attempt of another message that was at the same place.
    assert (message.body, message.delivery_attempt) == (b"a track", 1)


@pytest.mark.alone
def test_a_reset_waits_for_its_own_notes_and_for_nobody_else(new_broker, monkeypatch):
    """What a consumer has hidden for long is its own affair, as long as it is there.

    A new broker: one that another test killed still counts as there.
    """
    rocketmq = new_broker("rocketmq")

    def is_online() -> bool:
        found = {
            each.thing.name: each.consumers for each in contents(rocketmq.settings)
        }
        return found["jukebox"] > 0

    monkeypatch.setattr("lab.brokers.rocketmq.SETTLE_SECONDS", 2)
    make_drafts(rocketmq)
    send(rocketmq.settings, "drafts", b"a draft")
    with consuming(rocketmq.settings, "jukebox", "drafts") as consumer:
        wait_until(lambda: receive(consumer, seconds=40))
        began = time.monotonic()
        ROCKETMQ.clear(rocketmq.settings, ROCKETMQ.creates["work-queue"])
        assert 2 < time.monotonic() - began < 15
    wait_until(lambda: not is_online())
    with pytest.raises(Unavailable, match="after 4 seconds RocketMQ still has notes"):
        ROCKETMQ.clear(rocketmq.settings, ROCKETMQ.creates["work-queue"])


# status


def test_the_name_servers_port_is_not_the_proxys(rocketmq):
    address = rocketmq.settings["ROCKETMQ_NAMESRV_ADDR"]
    line = status_line(rocketmq, ROCKETMQ_ENDPOINTS=address)
    assert f"something listens on {address} but does not speak gRPC" in line
    assert "The proxy's is 8081; 9876 is the name server's" in line


def test_the_proxys_port_is_not_the_name_servers(rocketmq):
    address = rocketmq.settings["ROCKETMQ_ENDPOINTS"]
    line = status_line(rocketmq, ROCKETMQ_NAMESRV_ADDR=address)
    assert f"{address} but does not answer as a name server" in line
    assert line.endswith("Is the port right? The name server's is 9876.")


def test_a_name_server_that_is_down(rocketmq):
    line = status_line(rocketmq, ROCKETMQ_NAMESRV_ADDR="localhost:1")
    assert line.startswith("RocketMQ cannot be used (it runs, local, ")
    assert "the proxy answers, but nothing listens on localhost:1: the name" in line
    assert line.endswith("or mend ROCKETMQ_NAMESRV_ADDR in .env.")


@contextmanager
def name_server(cluster: str):
    """Answers each request with this cluster; yields its address."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            header = json.dumps({"code": 0}).encode()
            body = cluster.encode()
            lengths = struct.pack(">ii", 4 + len(header) + len(body), len(header))
            self.request.recv(4096)
            self.request.sendall(lengths + header + body)

    with socketserver.ThreadingTCPServer(("localhost", 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"localhost:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.parametrize(
    ("cluster", "why"),
    [
        ("{}", "the name server on {} does not know a broker yet."),
        (
            '{"brokerAddrTable":{"a":{"brokerAddrs":{0:"localhost:1"}}}}',
            "at localhost:1, which the name server on {} gives: Connection refused.",
        ),
    ],
)
def test_a_name_server_that_knows_no_broker_that_answers(cluster, why, rocketmq):
    with name_server(cluster) as address:
        line = status_line(rocketmq, ROCKETMQ_NAMESRV_ADDR=address)
    assert line.endswith(why.format(address))


def test_contents_are_those_of_the_broker(rocketmq):
    """Not RocketMQ's own topics and groups, which every broker has."""
    found = {content.thing.name for content in contents(rocketmq.settings)}
    assert not {name for name in found if name.startswith(("RMQ_SYS", "rmq_sys"))}
