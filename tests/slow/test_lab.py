"""python -m lab, on brokers that the tests start and stop with it."""

import os
import shlex
import signal
import socket
import sys
from contextlib import suppress
from dataclasses import replace

import pexpect
import psutil
import pytest

from lab.broker import Report, Thing, Unavailable, fill
from lab.brokers import BROKERS
from lab.local import Instance
from tests.lab_commands import IN_THE_GATE, check_up_and_down, env, only_line, up
from tests.parameters import WALKTHROUGHS, every_broker
from tests.support import (
    SCRIPTS,
    Tab,
    each_of,
    lab,
    open_page,
    promised_page,
    script,
    wait_until,
)


@pytest.mark.parametrize("name", [name for name in BROKERS if name != IN_THE_GATE])
def test_up_and_down(name, prepare):
    check_up_and_down(prepare(name))


@pytest.fixture
def pair(prepare, tmp_path):
    """Two brokers in one folder, and the environment for both."""
    brokers = [prepare(name) for name in ("rabbitmq", "activemq")]
    environment = {}
    for broker in brokers:
        environment |= broker.environment
    environment["LAB_HOME"] = str(tmp_path)
    pair = [
        Instance(each.row.broker, tmp_path / each.row.broker.name, environment)
        for each in brokers
    ]
    yield pair, environment
    for each in pair:
        each.kill()


UP_BOTH = "up", "rabbitmq", "activemq", "--local"


def test_brokers_start_at_the_same_time(pair):
    instances, environment = pair
    ended = lab(*UP_BOTH, environment=environment)
    assert ended.status == 0, ended
    lines = [line for line in ended.out if "browser" not in line]
    # The second one does not wait until the first one is up.
    assert sorted(lines[-4:-2]) == ["Starting ActiveMQ ...", "Starting RabbitMQ ..."]
    assert all(" is up on localhost:" in line for line in lines[-2:])
    assert lab("down", environment=environment).status == 0
    assert not any(each.processes() for each in instances)


def test_one_that_cannot_start_stops_no_other(pair):
    (rabbitmq, activemq), environment = pair
    port = int(rabbitmq.settings["RABBITMQ_PORT"])
    with socket.create_server(("127.0.0.1", port)):
        ended = lab(*UP_BOTH, environment=environment)
    assert ended.status == 1
    (line,) = ended.error
    assert str(port) in line
    assert any(line.startswith("ActiveMQ ") and " is up " in line for line in ended.out)
    assert activemq.processes()
    assert not rabbitmq.processes()


def test_ctrl_c_stops_all_that_are_starting(pair):
    instances, environment = pair
    starting = spawn(*UP_BOTH, environment=environment)
    wait_until(lambda: all(each.processes() for each in instances))
    starting.sendintr()
    starting.expect(pexpect.EOF)
    starting.close()
    assert starting.exitstatus == 128 + signal.SIGINT
    assert "Traceback" not in starting.before
    assert not any(each.processes() for each in instances)


def spawn(*arguments: str, environment) -> pexpect.spawn:
    """``python -m lab`` in a terminal."""
    return pexpect.spawn(
        sys.executable,
        ["-m", "lab", *arguments],
        env={**os.environ, **environment},
        encoding="utf-8",
        timeout=60,
    )


@every_broker
def test_up_names_a_page_where_there_is_one(name, live):
    """Without Docker. Of ActiveMQ, only the container has it."""
    broker = live(name)
    kind = broker.row.broker
    promised = promised_page(up(broker))
    if promised:
        assert promised == fill(kind.page, broker.settings)
        wait_until(lambda: opens(promised))  # it comes some seconds after the broker
    elif kind.page:
        assert not opens(fill(kind.page, broker.settings))


def opens(page: str) -> bool:
    try:
        return open_page(page) == 200
    except OSError:
        return False


@every_broker
def test_everything_listens_on_loopback_only(name, live):
    broker = live(name)
    listening = [
        connection.laddr.ip
        for connections in each_of(
            broker.instance.processes(), psutil.Process.net_connections
        )
        for connection in connections
        if connection.status == psutil.CONN_LISTEN
    ]
    assert listening
    elsewhere = [ip for ip in listening if ip not in ("127.0.0.1", "::1")]
    assert len(elsewhere) == broker.row.open_ports


@every_broker
def test_a_taken_port_is_one_line(name, prepare):
    broker = prepare(name)
    for number in [
        number
        for port in broker.instance.broker.ports
        for number in port.taken(broker.settings)
    ]:
        with socket.create_server(("127.0.0.1", number)):
            ended = up(broker)
        assert ended.status == 1
        line = ended.error[-1]
        assert str(number) in line
        assert "Traceback" not in "".join(ended.error)
    assert broker.instance.processes() == []


@every_broker
def test_a_broker_that_dies_while_starting_is_one_line(name, prepare):
    broker = prepare(name)
    broker.instance.home.mkdir(parents=True)
    # A file where the broker's folder for its data has to be.
    (broker.instance.home / "data").write_text("in the way")
    ended = up(broker)
    assert ended.status == 1
    (line,) = ended.error
    assert "ended while starting" in line
    assert f"python -m lab logs {name}" in line
    assert lab("logs", name, environment=env(broker)).out
    assert broker.instance.processes() == []


@every_broker
def test_ctrl_c_while_starting_leaves_nothing(name, prepare):
    broker = prepare(name)
    starting = spawn("up", name, "--local", environment=env(broker))
    wait_until(lambda: bool(broker.instance.processes()))
    starting.sendintr()
    starting.expect(pexpect.EOF)
    starting.close()
    assert starting.exitstatus == 128 + signal.SIGINT
    assert "Traceback" not in starting.before
    assert broker.instance.processes() == []


def test_a_broker_that_cannot_store_is_started_again(prepare, monkeypatch):
    """As Pulsar after a SIGKILL, in some of a hundred times."""
    activemq = prepare("activemq").instance
    starts = []

    def check_storage(settings) -> None:
        pids = {process.pid for process in activemq.processes()}
        if pids not in starts:
            starts.append(pids)
        if len(starts) == 1:
            raise Unavailable("no bookie")

    monkeypatch.setattr("lab.local.NO_STORAGE_SECONDS", 1)
    activemq.broker = replace(activemq.broker, check_storage=check_storage)
    assert activemq.start(Report())
    assert len(starts) == 2
    assert {process.pid for process in activemq.processes()} == starts[1]


@every_broker
def test_an_orphan_is_found_again(name, new_broker):
    """No PID file is needed: not even the death of the first process hides the rest."""
    broker = new_broker(name)
    for process in broker.instance.started:
        if psutil.Process(process.pid).children():
            process.kill()
    assert broker.instance.processes()
    assert only_line(lab("status", name, environment=env(broker)))
    assert lab("down", name, environment=env(broker)).status == 0
    assert broker.instance.processes() == []


def what_is_left(broker) -> set[Thing]:
    """Of a consumer that was killed: it counts until the broker has noticed."""
    found = set()

    def all_but_consumers() -> bool:
        found.clear()
        found.update(broker.row.things(broker.settings))
        return bool(found) and all(each.kind != "consumer" for each in found)

    wait_until(all_but_consumers)
    return found


@every_broker
def test_somebody_elses_broker(name, live, tmp_path):
    """Seen from another lab, the tests' broker is a stranger: used, never stopped."""
    broker = live(name)
    stranger = env(broker, LAB_HOME=str(tmp_path))
    for command in ("up", "status"):
        ended = lab(command, name, environment=stranger)
        assert ended.status == 0
        assert "not started by the lab" in ended.out[0]
    lab("down", name, environment=stranger)
    assert broker.instance.processes()

    consumer = next(each.script for each in broker.row.heard)
    with Tab(script(consumer).path, environment=broker.environment) as tab:
        assert tab.line()
    before = what_is_left(broker)
    unasked = lab("reset", name, environment=stranger)
    assert unasked.status == 1
    assert broker.row.things(broker.settings) == before
    assert lab("reset", name, "--yes", environment=stranger).status == 0
    assert broker.row.things(broker.settings) == set()


@every_broker
def test_a_broker_elsewhere_is_somebody_elses(name, live, new_broker):
    """With one broker of its own, the lab still asks before it touches another."""
    mine, other = live(name), new_broker(name)
    elsewhere = env(
        mine, **{key: other.settings[key] for key in BROKERS[name].addresses}
    )
    consumer = next(each.script for each in other.row.heard)
    with Tab(script(consumer).path, environment=elsewhere) as tab:
        assert tab.line()
    before = what_is_left(other)
    assert lab("reset", name, environment=elsewhere).status == 1
    assert other.row.things(other.settings) == before
    assert "not started by the lab" in only_line(
        lab("status", name, environment=elsewhere)
    )


# reset


def commands(name: str) -> list[str]:
    """All that the broker's README tells to type, the lab's own commands apart.

    And each script that waits without an argument: what it does by default. First what
    ends by itself: the producers.
    """
    typed = {
        command.text
        for walkthrough in WALKTHROUGHS.values()
        if walkthrough.folder.name == name
        for tab in walkthrough.tabs
        for command in tab.commands
        if not command.is_preparation
    }
    typed |= {
        f"python {each.name}"
        for each in SCRIPTS
        if each.broker == name and each.goes_on
    }
    return sorted(typed, key=lambda text: (script(text.split()[1]).goes_on, text))


# Scripts that create something later than with their ready line: what they print then.
LATER_LINES = {
    "kafka_transactions_processor.py": ["Committed *"],  # its group
    "activemq_dead_letter_consumer.py": ["Rejected broken track 4"] * 3,  # its DLQ
}


@pytest.mark.timeout(400)
@every_broker
def test_reset_deletes_exactly_what_the_scripts_create(name, live):
    broker = live(name)
    kind = broker.instance.broker
    for command in commands(name):
        path, *arguments = shlex.split(command)[1:]
        with Tab(kind.folder / path, *arguments, environment=env(broker)) as tab:
            if not script(path).goes_on:
                tab.end()
            else:
                assert tab.line()
                for line in LATER_LINES.get(path, ()):
                    tab.wait_for(line)
    created = set(kind.all_things())
    with suppress(AssertionError):  # the next line says more
        wait_until(lambda: broker.row.things(broker.settings) == created)
    assert broker.row.things(broker.settings) == created

    for pattern, things in kind.creates.items():
        ended = lab("reset", f"{name}/{pattern}", environment=env(broker))
        assert ended.status == 0
        created -= set(things)
        assert broker.row.things(broker.settings) == created
    assert created == set()

    # Nothing to delete is no error, and the line is the same: README blocks show it.
    again = lab("reset", f"{name}/{pattern}", environment=env(broker))
    assert again == ended
