"""python -m lab, on brokers that the tests start and stop with it."""

import os
import re
import shlex
import signal
import socket
import sys
from contextlib import suppress
from dataclasses import replace

import pexpect
import psutil
import pytest

from lab import software
from lab.broker import ROOT, LabError, Report, Thing, Unavailable, fill
from lab.brokers import BROKERS
from lab.docker import engine_answers
from lab.local import Instance
from lab.software import SystemProgram
from lab.walkthrough import walkthroughs
from tests.support import (
    PATIENCE,
    SCRIPTS,
    Tab,
    each_of,
    lab,
    open_page,
    promised_page,
    run,
    script,
    wait_until,
)

every_broker = pytest.mark.parametrize("name", BROKERS)
COMMANDS = ("up", "status", "run", "show", "reset", "logs", "down", "list")
WALKTHROUGHS = walkthroughs(BROKERS)


def up(broker, **more: str):
    return lab(
        "up", broker.instance.broker.name, "--local", environment=env(broker, **more)
    )


def env(broker, **more: str) -> dict[str, str]:
    return {**broker.environment, **more}


def only_line(ended) -> str:
    (line,) = ended.out + ended.error
    assert "Traceback" not in line
    return line


# The command line


def test_without_arguments_it_says_what_to_type_next():
    ended = lab(environment={})
    assert ended.status == 0
    typed = [line.split("  ")[1] for line in ended.out if line.startswith("  ")]
    assert len(typed) >= 3
    for line in typed:
        words = line.removeprefix("python -m lab ").split()
        assert words[0] in COMMANDS
        assert all(word in {*BROKERS, *WALKTHROUGHS} for word in words[1:])


@pytest.mark.parametrize("command", COMMANDS)
def test_help(command):
    ended = lab(command, "--help", environment={})
    assert ended.status == 0
    assert ended.out[0].startswith(f"Usage: python -m lab {command}")
    assert f"  {command} " in "\n".join(lab("--help", environment={}).out)


@pytest.mark.parametrize(
    "arguments",
    [
        ("fly",),
        ("up", "rabbit"),
        ("run",),
        ("run", "rabbitmq/no-such"),
        ("reset", "rabbitmq/no-such"),
        ("reset", "nothing"),
        ("status", "--loud"),
    ],
)
def test_a_wrong_command_line_is_status_2(arguments):
    ended = lab(*arguments, environment={})
    assert ended.status == 2
    assert ended.error
    assert "Traceback" not in "".join(ended.error)


def test_list_shows_every_walkthrough():
    listed = []
    for name in BROKERS:
        ended = lab("list", name, environment={"COLUMNS": "200"})
        assert ended.status == 0
        listed += [line.split()[0] for line in ended.out if "/" in line.split(" ")[0]]
    assert listed == list(WALKTHROUGHS)


def test_list_counts_the_walkthroughs_of_each_pattern():
    ended = lab("list", environment={"COLUMNS": "120"})
    assert ended.status == 0
    head, *rows = (line.split() for line in ended.out if line)
    assert head[-len(BROKERS) :] == [broker.title for broker in BROKERS.values()]
    table = {row[0]: dict(zip(BROKERS, row[1:], strict=True)) for row in rows[:-1]}
    for pattern in ("fifo", "work-queue", "dead-letter"):
        assert "-" not in table[pattern].values()
    assert [name for name in BROKERS if table["stream"][name] != "-"] == ["rabbitmq"]
    counts = [cell for row in table.values() for cell in row.values() if cell != "-"]
    assert sum(map(int, counts)) == len(WALKTHROUGHS)


def test_it_runs_in_a_brokers_folder_too():
    """There the README's commands are typed."""
    for broker in BROKERS.values():
        assert lab(environment={}, cwd=broker.folder).status == 0


def test_a_port_that_is_no_number_is_one_line():
    for broker in BROKERS.values():
        setting = broker.ports[0].setting
        for value in ("http", "0", "65536", "-1"):
            ended = lab("status", broker.name, environment={setting: value})
            assert ended.status == 1
            assert only_line(ended).startswith(f"{setting}={value} is no port")


# up, status, logs, down


@every_broker
def test_up_and_down(name, prepare):
    broker = prepare(name)
    title = broker.instance.broker.title

    assert only_line(lab("down", name, environment=env(broker))) == (
        f"{title}: the lab has none running, nothing to stop."
    )
    assert lab("logs", name, environment=env(broker)).status == 1
    status = lab("status", name, environment=env(broker))
    assert status.status == 1
    assert f"python -m lab up {name}" in only_line(status)

    first = up(broker)
    assert first.status == 0, first
    # Not always the second line: the first start on a machine downloads.
    is_up = re.compile(rf"{title} [\d.]+ is up on localhost:\d+, local")
    assert any(map(is_up.match, first.out))
    pids = {process.pid for process in broker.instance.roots()}
    again = up(broker)
    assert again.status == 0
    assert "as before" in again.out[0]
    assert {process.pid for process in broker.instance.roots()} == pids

    assert " is up " in only_line(lab("status", name, environment=env(broker)))
    assert lab("logs", name, environment=env(broker)).out

    for _ in range(2):
        assert lab("down", name, environment=env(broker)).status == 0
        assert broker.instance.processes() == []
    assert lab("status", name, environment=env(broker)).status == 1


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
def test_show_says_what_waits(name, live):
    broker = live(name)
    sent = run(script(f"{name}_producer.py").path, environment=env(broker)).out

    def is_shown() -> bool:
        shown = lab("show", name, environment=env(broker))
        assert shown.status == 0
        rows = [line.split() for line in shown.out]
        return any(row[1:3] == ["music_tasks", str(len(sent))] for row in rows)

    wait_until(is_shown)  # RabbitMQ counts every five seconds


@every_broker
def test_show_of_a_broker_that_is_down_is_one_line(name, prepare):
    ended = lab("show", name, environment=env(prepare(name)))
    assert ended.status == 1
    assert f"python -m lab up {name}" in only_line(ended)


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
    for port in broker.instance.broker.ports:
        number = int(broker.settings[port.setting])
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
@pytest.mark.parametrize("engine", ["no docker", "docker without engine"])
def test_up_with_docker_where_none_answers_is_one_line(name, engine, prepare, tmp_path):
    broker = prepare(name)
    if engine == "docker without engine":
        docker = tmp_path / "docker"
        docker.write_text("#!/bin/sh\nexit 1\n")
        docker.chmod(0o755)
    ended = lab("up", name, "--docker", environment=env(broker, PATH=str(tmp_path)))
    assert ended.status == 1
    assert only_line(ended).startswith("No Docker Engine with docker compose")


@pytest.mark.parametrize(("api", "is_new_enough"), [("1.41", False), ("1.44", True)])
def test_an_engine_that_is_too_old_for_the_compose_file(
    api, is_new_enough, monkeypatch, tmp_path
):
    docker = tmp_path / "docker"
    docker.write_text(f"#!/bin/sh\necho {api}\n")
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert engine_answers() == is_new_enough


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


@every_broker
def test_up_says_when_the_scripts_would_look_elsewhere(name, prepare):
    broker = prepare(name)
    kind = BROKERS[name]
    nowhere = kind.addresses_on({port.setting: "1" for port in kind.ports})
    ended = up(broker, **nowhere)
    assert ended.status == 1
    assert "Make them agree in .env" in only_line(ended)


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


# run


@every_broker
def test_run_says_when_the_broker_is_down(name, prepare):
    walkthrough = next(each for each in WALKTHROUGHS if each.startswith(name))
    ended = lab("run", walkthrough, environment=env(prepare(name)))
    assert ended.status == 1
    assert f"python -m lab up {name}" in only_line(ended)


def test_run_makes_a_picture(live, tmp_path):
    walkthrough = next(iter(WALKTHROUGHS.values()))
    broker = live(walkthrough.folder.name)
    picture = tmp_path / "tabs.svg"
    ended = lab(
        "run", walkthrough.name, "--picture", str(picture), environment=env(broker)
    )
    assert ended.status == 0
    svg = picture.read_text()
    assert "url(" not in svg.replace("url(#", "")  # nothing to download
    for tab in walkthrough.tabs:
        assert tab.name in svg
    missing = tmp_path / "no-such-folder" / "tabs.svg"
    ended = lab(
        "run", walkthrough.name, "--picture", str(missing), environment=env(broker)
    )
    assert ended.status == 1
    assert ended.error[-1] == f"Cannot write {missing}: No such file or directory."


@pytest.mark.parametrize("width", [60, 160])
def test_run_on_a_terminal(width, live):
    """Side by side where there is room, else each line behind its tab's name."""
    walkthrough = next(iter(WALKTHROUGHS.values()))
    broker = live(walkthrough.folder.name)
    child = pexpect.spawn(
        sys.executable,
        ["-m", "lab", "run", walkthrough.name],
        env={**os.environ, **env(broker), "COLUMNS": str(width), "TERM": "xterm"},
        encoding="utf-8",
        timeout=60,
        dimensions=(40, width),
    )
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0, child.before
    assert "\x1b[" in child.before  # coloured
    names = [tab.name for tab in walkthrough.tabs]
    side_by_side = re.search(" .*".join(names), child.before)
    assert bool(side_by_side) == (width == 160)
    assert f"Each tab printed what {walkthrough.readme} shows." in child.before


def test_run_says_what_differs(live, tmp_path):
    """On a broker that is not its own, the lab leaves what was left over."""
    walkthrough = next(iter(WALKTHROUGHS))
    name = walkthrough.partition("/")[0]
    broker = live(name)
    heard = broker.row.heard[0]
    with Tab(script(heard.script).path, environment=broker.environment) as tab:
        assert tab.line()
    heard.send(broker.settings, b"left over")
    stranger = env(broker, LAB_HOME=str(tmp_path))
    ended = lab("run", walkthrough, environment=stranger)
    assert ended.status == 1
    text = "\n".join(ended.error)
    assert "left over" in text
    assert f"python -m lab reset {name}" in text
    assert "Traceback" not in text
    # On its own broker the lab starts from a clean slate.
    assert lab("run", walkthrough, environment=env(broker)).status == 0


# Programs of the system


def test_a_missing_program_is_named_with_its_cure(monkeypatch, tmp_path):
    program = SystemProgram(
        name="no-such-server",
        paths=(),
        debian_package="no-such-server",
        install_commands={"brew": "brew install no-such"},
    )
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LabError, match="no-such-server is not installed"):
        program.provide(Report())
    brew = tmp_path / "brew"
    brew.write_text("#!/bin/sh\n")
    brew.chmod(0o755)
    with pytest.raises(LabError, match="Install it: brew install no-such"):
        program.provide(Report())


def test_the_environment_can_name_the_program(monkeypatch, tmp_path):
    """Before the installed one. For a wrong path nothing is installed."""
    program = SystemProgram(
        name="some-server",
        paths=("/bin/sh",),
        debian_package="no-such-server",
        install_commands={},
    )
    assert program.provide(Report()) == {"program": "/bin/sh"}
    named = tmp_path / "my server"
    monkeypatch.setenv("LAB_SOME_SERVER", str(named))
    with pytest.raises(LabError, match=r"LAB_SOME_SERVER=.* is no program"):
        program.provide(Report())
    named.write_text("#!/bin/sh\n")
    named.chmod(0o755)
    assert program.provide(Report()) == {"program": str(named)}


def test_a_package_does_not_start_its_service(monkeypatch, tmp_path):
    """While a package is installed, Debian's policy file says no; then it is gone."""
    policy = tmp_path / "policy-rc.d"
    monkeypatch.setattr(software, "POLICY", policy)
    with software.services_held():
        assert run_policy(policy) == 101
    assert not policy.exists()
    with pytest.raises(KeyboardInterrupt), software.services_held():
        raise KeyboardInterrupt
    assert not policy.exists()

    policy.write_text("somebody else's")
    with software.services_held():
        assert policy.read_text() == "somebody else's"
    assert policy.read_text() == "somebody else's"


def run_policy(policy) -> int:
    child = pexpect.spawn(str(policy), ["rabbitmq-server", "start"], timeout=PATIENCE)
    child.expect(pexpect.EOF)
    child.close()
    return child.exitstatus


def test_an_instance_belongs_to_its_folder(tmp_path):
    """Two labs on one machine do not see each other's processes."""
    for broker in BROKERS.values():
        assert Instance(broker, tmp_path, os.environ).processes() == []


def test_the_lab_names_a_missing_library():
    """Whoever has installed only requirements.txt learns what else is needed."""
    ended = run("-S", "-m", "lab", environment={"PYTHONPATH": str(ROOT)})
    assert ended.status == 1
    assert "pip install -r requirements-dev.txt" in only_line(ended)
