"""python -m lab, where no broker is needed."""

import os
import socket

import pexpect
import pytest

from lab import software
from lab.broker import ROOT, LabError, Report
from lab.brokers import BROKERS
from lab.docker import engine_answers
from lab.local import Instance, wait_until_free
from lab.software import SystemProgram
from tests.lab_commands import env, only_line, up
from tests.parameters import WALKTHROUGHS, every_broker
from tests.support import PATIENCE, lab, run

COMMANDS = ("up", "status", "run", "show", "reset", "logs", "down", "list")


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
            with pytest.raises(LabError, match=f"^{setting}={value} is no port"):
                broker.settings({setting: value})
    ended = lab("status", broker.name, environment={setting: value})
    assert ended.status == 1
    assert only_line(ended).startswith(f"{setting}={value} is no port")


@every_broker
def test_show_of_a_broker_that_is_down_is_one_line(name, prepare):
    ended = lab("show", name, environment=env(prepare(name)))
    assert ended.status == 1
    assert f"python -m lab up {name}" in only_line(ended)


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
def test_up_says_when_the_scripts_would_look_elsewhere(name, prepare):
    broker = prepare(name)
    kind = BROKERS[name]
    nowhere = kind.addresses_on({port.setting: "1" for port in kind.ports})
    ended = up(broker, **nowhere)
    assert ended.status == 1
    assert "Make them agree in .env" in only_line(ended)


@every_broker
def test_run_says_when_the_broker_is_down(name, prepare):
    walkthrough = next(each for each in WALKTHROUGHS if each.startswith(name))
    ended = lab("run", walkthrough, environment=env(prepare(name)))
    assert ended.status == 1
    assert f"python -m lab up {name}" in only_line(ended)


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


def test_a_port_without_a_name_may_become_free(monkeypatch):
    """As that of a process which was killed a moment ago."""
    with socket.socket() as dying:
        dying.bind(("127.0.0.1", 0))
        port = dying.getsockname()[1]
        monkeypatch.setattr("lab.local.DYING_SECONDS", 0)
        assert wait_until_free(port) == "another program"
        monkeypatch.setattr("lab.local.DYING_SECONDS", PATIENCE)
        monkeypatch.setattr("lab.local.time.sleep", lambda seconds: dying.close())
        assert wait_until_free(port) is None
