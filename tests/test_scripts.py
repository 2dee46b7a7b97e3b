"""What every script does, whatever its pattern: endings, errors, arguments."""

import shutil
import signal
import socket
import time
from contextlib import suppress
from fnmatch import fnmatchcase

import psutil
import pytest

from lab.brokers import BROKERS
from tests.rows import ROWS
from tests.support import (
    ANY_SCRIPT,
    SCRIPTS,
    Tab,
    finish,
    lab,
    run,
    script,
    start,
    wait_until,
)

every_script = pytest.mark.parametrize("each", **ANY_SCRIPT)
every_waiting_script = pytest.mark.parametrize(
    "each", [pytest.param(each, id=each.name) for each in SCRIPTS if each.goes_on]
)
every_broker = pytest.mark.parametrize("name", BROKERS)
PROMISED_SECONDS = 10  # until any trouble with the broker is reported
# A script's lines right behind its ready line, where nobody has sent anything: what a
# worker gets that is alone in its group.
MORE_LINES_AT_START = {
    "kafka_rebalance_consumer.py": 2,
    "kafka_rebalance_cooperative_consumer.py": 2,
}

rows = ROWS.values()


def parameters(attribute: str, label, where=lambda entry: True) -> dict:
    """Each broker's entries of one attribute of its row."""
    return {
        "argvalues": [
            pytest.param(row.broker.name, entry, id=f"{row.broker.name}-{label(entry)}")
            for row in rows
            for entry in getattr(row, attribute)
            if where(entry)
        ]
    }


def scripts_of(name: str):
    return [each for each in SCRIPTS if each.broker == name]


@pytest.fixture
def silent_port():
    """A port that accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def frozen():
    """A function that stops an instance's processes until the end of the test."""
    stopped: list[psutil.Process] = []

    def freeze(instance) -> None:
        for process in instance.processes():
            process.suspend()
            stopped.append(process)

    yield freeze
    for process in stopped:
        with suppress(psutil.NoSuchProcess):
            process.resume()


def is_connected(tab: Tab, ports: set[int]) -> bool:
    return any(
        connection.raddr and connection.raddr.port in ports
        for connection in psutil.Process(tab.child.pid).net_connections("tcp")
    )


def client_port(broker) -> int:
    return int(broker.settings[broker.row.broker.ports[0].setting])


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
@every_waiting_script
def test_its_end_leaves_nothing_temporary(each, ending, live):
    """Ctrl-C ends it silently, SIGTERM at once."""
    broker = live(each.broker)
    durable = set(broker.row.broker.all_things())
    with Tab(each.path, environment=broker.environment) as tab:
        assert "Press Ctrl-C to stop." in tab.line()
        for _ in range(MORE_LINES_AT_START.get(each.name, 0)):
            assert tab.line()
        assert broker.row.things(broker.settings)
        if ending == signal.SIGINT:
            tab.press_ctrl_c()
            assert tab.end() == (0, None, [])
        else:
            tab.child.kill(ending)
            assert tab.end() == (None, ending, [])
    wait_until(lambda: broker.row.things(broker.settings) <= durable)


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
@every_script
def test_its_end_while_the_broker_does_not_answer(each, ending, live, frozen):
    """A frozen broker holds every script, also those that end by themselves."""
    broker = live(each.broker)
    frozen(broker.instance)
    with Tab(each.path, environment=broker.environment) as tab:
        ports = {int(broker.settings[port.setting]) for port in broker.row.broker.ports}
        wait_until(lambda: is_connected(tab, ports))
        if ending == signal.SIGINT:
            tab.press_ctrl_c()
            assert tab.end() == (0, None, [])
        else:
            tab.child.kill(ending)
            assert tab.end() == (None, ending, [])


def check_one_line(ended, *, says: tuple[str, ...], secret: str | None) -> None:
    assert ended.status == 1, ended
    assert len(ended.error) == 1, ended
    for words in says:
        assert words in ended.error[0]
    assert secret is None or secret not in ended.error[0]


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("name", "bad"), **parameters("bad_settings", lambda bad: bad.name)
)
def test_bad_settings_are_one_line(name, bad, live, silent_port):
    broker = live(name)
    environment = broker.environment | bad.change(broker.settings, silent_port)
    scripts = [each for each in scripts_of(name) if not each.is_setup]
    # Some at a time: all at once would keep two processors busy with starting them.
    for some in (scripts[i : i + 2] for i in range(0, len(scripts), 2)):
        processes = [start(each.path, environment=environment) for each in some]
        deadline = time.monotonic() + PROMISED_SECONDS
        for process in processes:
            ended = finish(process, max(0, deadline - time.monotonic()))
            check_one_line(ended, says=bad.says, secret=broker.row.secret)

    status = lab("status", name, environment=environment)
    assert status.status == 1
    (line,) = status.out or status.error
    assert bad.status_says in line
    assert broker.row.secret is None or broker.row.secret not in line


@every_broker
def test_a_broker_that_dies_is_one_line(name, new_broker):
    """Nobody is left waiting for a broker that is gone."""
    broker = new_broker(name)
    environment = broker.environment | {"PYTHONUNBUFFERED": "1"}
    running = []
    for each in scripts_of(name):
        if each.goes_on:
            # One after the other: all at once would not reach the broker in time.
            running.append(start(each.path, environment=environment))
            ready = running[-1].stdout.readline()
            assert "Press Ctrl-C to stop." in ready, finish(running[-1])
    broker.instance.kill()
    deadline = time.monotonic() + PROMISED_SECONDS
    for process in running:
        ended = finish(process, max(0, deadline - time.monotonic()))
        check_one_line(
            ended,
            says=(f"python -m lab status {name}", f":{client_port(broker)}"),
            secret=broker.row.secret,
        )


@pytest.mark.parametrize(
    ("name", "heard"), **parameters("heard", lambda heard: heard.script)
)
def test_ready_means_ready(name, heard, live):
    """What is sent right after the ready line arrives, twenty times out of twenty."""
    for number in range(20):
        broker = live(name)  # nothing is left of the message before
        body = f"message {number}"
        with Tab(script(heard.script).path, environment=broker.environment) as tab:
            assert tab.line()
            heard.send(broker.settings, body.encode())
            tab.wait_for(heard.line.format(body=body))


@pytest.mark.parametrize(
    ("name", "heard"),
    **parameters(
        "heard", lambda heard: heard.script, where=lambda heard: heard.takes_the_next
    ),
)
@pytest.mark.parametrize("body", [b"\xff\xfe\x00", b"", b'{"track"', b"x" * 1_000_000])
def test_no_body_stops_it(name, heard, body, live):
    broker = live(name)
    with Tab(script(heard.script).path, environment=broker.environment) as tab:
        assert tab.line()
        heard.send(broker.settings, body)
        heard.send(broker.settings, b"the next one")
        tab.wait_for(heard.line.format(body="the next one"))


@pytest.mark.parametrize(
    ("name", "usage"),
    **parameters("refused", lambda usage: f"{usage.script}-{usage.arguments[0][:9]}"),
)
def test_wrong_arguments_are_one_line_of_usage(name, usage, live):
    broker = live(name)
    ended = run(
        script(usage.script).path, *usage.arguments, environment=broker.environment
    )
    assert ended.status == 2
    assert ended.out == []
    (line,) = ended.error
    assert line.startswith("Usage: ")
    assert usage.script in line


@pytest.mark.parametrize(
    ("name", "alone"), **parameters("alone", lambda alone: alone.script)
)
def test_producer_first(name, alone, live):
    broker = live(name)
    sent = run(script(alone.script).path, environment=broker.environment)
    assert sent.status == 0
    assert sent.error == []
    assert sent.out
    assert all(line.startswith(alone.line) for line in sent.out)

    consumer = script(alone.script.replace("_producer", "_consumer"))
    heard = next(each for each in broker.row.heard if each.script == consumer.name)
    with Tab(consumer.path, environment=broker.environment) as tab:
        assert tab.line()
        heard.send(broker.settings, b"the last one")
        last_one = heard.line.format(body="the last one")
        lines = [tab.line()]
        if fnmatchcase(lines[0], last_one) and alone.keeps:
            lines.append(tab.line())  # a topic of several queues has no order
        assert all(fnmatchcase(line, last_one) for line in lines) is not alone.keeps


@every_script
def test_a_copy_works_alone(each, live, tmp_path):
    """In an empty folder with a blank in its name, with nothing but its libraries."""
    broker = live(each.broker)
    folder = tmp_path / "my project"
    folder.mkdir()
    copied = shutil.copy(each.path, folder)
    with Tab(copied, environment=broker.environment) as tab:
        if each.goes_on:
            assert "Press Ctrl-C to stop." in tab.line()
        elif "rpc" in each.name:
            assert tab.line() == "Requested Night Train"
        else:
            assert tab.end()[0] == 0
    assert [path.name for path in folder.iterdir()] == [each.name]


def test_every_script_that_waits_is_made_to_print():
    heard = {each.script for row in rows for each in row.heard}
    assert heard == {each.name for each in SCRIPTS if each.goes_on}
