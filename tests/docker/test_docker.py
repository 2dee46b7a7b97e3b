"""docker-compose.yml, and the lab's way with Docker, on the engine that answers here.

Run by `make test-docker`, which provides the engine. The containers and volumes are of
compose projects of their own, on ports of their own.
"""

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import psutil
import pytest
from dotenv import dotenv_values

from lab.broker import ROOT, Broker, Unavailable, fill
from lab.brokers import BROKERS
from lab.brokers.activemq import jolokia, operation, runs
from lab.local import free_ports
from lab.walkthrough import walkthroughs
from tests.support import (
    Ended,
    Tab,
    lab,
    open_page,
    promised_page,
    run,
    script,
    wait_until,
)

# On a busy machine each start of a container may take a minute.
pytestmark = pytest.mark.timeout(600)
SECONDS_UNTIL_UNHEALTHY = 180  # three failed checks in a row, and the pauses between

# What makes a broker stop listening while its container runs on. Where it has no
# command for that, it is frozen: it still listens, and answers nobody.
DEAFEN = {
    "rabbitmq": "rabbitmqctl stop_app",
    # Their process 1, which is not the broker, is not to be stopped by itself.
    "activemq": "kill -STOP -1",
    "rocketmq": "kill -STOP -1",
}


@dataclass
class Containers:
    """A broker's containers, in a compose project of their own."""

    broker: Broker
    environment: Mapping[str, str]

    @property
    def ports(self) -> list[str]:
        return [self.environment[port.setting] for port in self.broker.ports]

    def compose(self, *arguments: str) -> str:
        return subprocess.run(
            ["docker", "compose", *arguments],
            cwd=ROOT,
            env={**os.environ, **self.environment},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout

    def up(self) -> None:
        self.compose("up", "--detach", "--wait", *self.broker.services)

    def inspect(self) -> list[dict]:
        """What the engine says of them, also of those that have ended."""
        ids = self.compose("ps", "--all", "--quiet", *self.broker.services).split()
        if not ids:
            return []
        described = subprocess.run(
            ["docker", "inspect", *ids], stdout=subprocess.PIPE, check=True
        )
        return json.loads(described.stdout)

    def ids(self) -> set[str]:
        return {each["Id"] for each in self.inspect()}

    def health(self) -> set[str]:
        return {each["State"]["Health"]["Status"] for each in self.inspect()}

    def lab(self, *arguments: str, **changed: str) -> Ended:
        return lab(*arguments, environment={**self.environment, **changed})

    def send_tasks(self) -> list[str]:
        """Send the work queue's tasks, which nobody gets yet; returns their names."""
        self.broker.run_setup(self.environment)
        producer = script(f"{self.broker.name}_producer.py")
        sent = run(producer.path, environment=self.environment)
        assert sent.status == 0, sent
        return [line.removeprefix("Sent ") for line in sent.out]

    def finish_tasks(self, tasks: list[str]) -> None:
        """Check that a worker gets these tasks, in whichever order."""
        worker = script(f"{self.broker.name}_consumer.py")
        missing = {f"Finished {task}" for task in tasks}
        with Tab(worker.path, environment=self.environment) as tab:
            while missing:
                line = tab.line()
                assert line, f"ended without printing: {missing}"
                missing.discard(line)


@pytest.fixture(scope="module", params=BROKERS)
def containers(request, tmp_path_factory) -> Iterator[Containers]:
    """A broker's containers, whether they are up or not."""
    broker = BROKERS[request.param]
    ports = free_ports(broker)
    environment = {
        **ports,
        **broker.addresses_on(ports),
        "COMPOSE_PROJECT_NAME": f"message-broker-lab-test-docker-{broker.name}",
        "LAB_HOME": str(tmp_path_factory.mktemp("lab home")),
    }
    made = Containers(broker, environment)
    made.compose("down", "--volumes")  # what an interrupted run has left
    yield made
    made.compose("down", "--volumes")


@pytest.fixture
def up(containers) -> Containers:
    """A broker that docker compose has brought up, with no message on it."""
    containers.up()
    broker = containers.broker
    broker.delete(broker.settings(containers.environment), broker.all_things())
    return containers


@pytest.fixture
def absent(containers) -> Containers:
    """A broker without containers; a volume may be there."""
    containers.compose("down")
    return containers


@pytest.mark.parametrize("name", BROKERS)
def test_ports_are_those_of_the_example_settings(name):
    """Also without any setting: what .env.example shows is the default."""
    broker = BROKERS[name]
    example = dotenv_values(ROOT / ".env.example")
    settings = [port.setting for port in broker.ports]
    unset = {name: text for name, text in os.environ.items() if name not in settings}
    for file in (".env.example", os.devnull):
        described = subprocess.run(
            ["docker", "compose", "--env-file", file, "config", "--format", "json"],
            cwd=ROOT,
            env=unset,
            stdout=subprocess.PIPE,
            check=True,
        )
        services = json.loads(described.stdout)["services"]
        published = [p for s in broker.services for p in services[s]["ports"]]
        assert [p["host_ip"] for p in published] == ["127.0.0.1"] * len(settings)
        numbers = sorted(p["published"] for p in published)
        assert numbers == sorted(example[s] for s in settings)


def test_up_waits_until_the_broker_answers(absent):
    absent.up()
    assert absent.broker.probe(absent.broker.settings(absent.environment))
    assert absent.health() == {"healthy"}


def test_unhealthy_when_the_broker_no_longer_answers(up):
    if command := DEAFEN.get(up.broker.name):
        for service in up.broker.services:
            up.compose("exec", "--no-TTY", service, "sh", "-c", command)
    else:
        up.compose("kill", "--signal", "STOP", *up.broker.services)
    wait_until(lambda: up.health() == {"unhealthy"}, seconds=SECONDS_UNTIL_UNHEALTHY)
    assert {each["State"]["Status"] for each in up.inspect()} == {"running"}
    assert up.lab("status", up.broker.name).status == 1
    up.compose("kill", *up.broker.services)


def test_the_health_check_runs_as_the_brokers_user(up):
    """What it leaves behind, such as Erlang's cookie, must not lock the broker out."""
    for service in up.broker.services:
        owners = ("exec", "--no-TTY", service, "sh", "-c", "id -u; stat -c %u /proc/1")
        check, broker = up.compose(*owners).split()
        assert check == broker != "0"


def test_listens_on_loopback_only(up):
    bound = [
        (each["HostIp"], each["HostPort"])
        for container in up.inspect()
        for binding in container["NetworkSettings"]["Ports"].values()
        for each in binding or ()  # None where a port is not published
    ]
    assert sorted(bound) == sorted(("127.0.0.1", port) for port in up.ports)
    others = [
        address.address
        for addresses in psutil.net_if_addrs().values()
        for address in addresses
        if address.family == socket.AF_INET and not address.address.startswith("127.")
    ]
    assert others  # the bridge that leads to the containers at least
    for host in others:
        for port in up.ports:
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection((host, int(port)), timeout=5)


def test_messages_survive_down_and_up(up):
    """In a new container, which has the old one's host name and so its data."""
    tasks = up.send_tasks()
    before = up.ids()
    up.compose("down")
    assert not up.ids()
    up.up()
    assert up.ids().isdisjoint(before)
    up.finish_tasks(tasks)


@pytest.mark.timeout(1200)
def test_walkthroughs(up):
    """`pytest --live`, as a user runs it on containers that are up."""
    command = ["-m", "pytest", "--live", "-k", up.broker.name, "-p", "no:cacheprovider"]
    ended = subprocess.run(
        [sys.executable, *command], cwd=ROOT, env={**os.environ, **up.environment}
    )
    assert ended.returncode == 0


def test_lab_up_status_logs_run_down(absent):
    title, name = absent.broker.title, absent.broker.name
    started = absent.lab("up", "--docker", name)
    assert started.status == 0, started
    assert any(line.endswith(", in Docker.") for line in started.out)
    assert absent.health() == {"healthy"}

    page = promised_page(started)
    assert (page is None) == (absent.broker.page is None)
    assert page is None or open_page(page) == 200

    status = absent.lab("status", name)
    assert (status.status, len(status.out)) == (0, 1)
    assert status.out[0].endswith(f"localhost:{absent.ports[0]}, in Docker.")

    again = absent.lab("up", name)  # without --docker, too
    assert again.out[0].endswith(", in Docker, as before.")

    logs = absent.lab("logs", name)
    assert logs.status == 0
    assert any(f"{absent.broker.services[0]}-1" in line for line in logs.out)

    # It begins without asking: on a broker of the lab's own it may delete.
    walkthrough = next(w for w in walkthroughs(BROKERS) if w.startswith(f"{name}/"))
    shown = absent.lab("run", walkthrough)
    assert shown.status == 0, shown

    tasks = absent.send_tasks()
    stopped = absent.lab("down", name)
    assert stopped.out[-1] == f"{title} is down."  # after what docker compose says
    assert not absent.ids()
    assert absent.lab("status", name).status == 1
    assert "nothing to stop" in absent.lab("down", name).out[0]

    # Without an option: Docker, because an engine answers.
    assert absent.lab("up", name).status == 0
    assert absent.health() == {"healthy"}
    absent.finish_tasks(tasks)


def test_lab_shows_and_resets(up):
    """Without asking: the containers are the lab's."""
    name = up.broker.name
    tasks = up.send_tasks()
    row = re.compile(rf"\S+ music_tasks +{len(tasks)}\b.*")
    # RabbitMQ counts every five seconds.
    wait_until(lambda: any(map(row.fullmatch, up.lab("show", name).out)))
    reset = up.lab("reset", f"{name}/work-queue")
    assert reset.status == 0, reset
    wait_until(
        lambda: not any("music_tasks" in line for line in up.lab("show", name).out)
    )


@pytest.mark.parametrize("containers", ["activemq"], indirect=True)
def test_the_console_asks_for_a_login(up):
    page = fill(up.broker.page, up.broker.settings(up.environment))
    address, _, login = page.partition(" ")
    for path in ("", "/admin/", "/api/jolokia/"):
        assert open_page(f"{address}{path} {login}") == 200
        assert open_page(f"{address}{path} {login}", login=False) == 401
        assert open_page(f"{address}{path} (admin / wrong)") == 401


@pytest.mark.parametrize("containers", ["activemq"], indirect=True)
def test_what_jolokia_answers_and_refuses(up):
    """Not to another site's page, and not what nobody needs for this tutorial."""
    settings = up.broker.settings(up.environment)
    assert runs(settings)
    (refused,) = jolokia(settings, operation("terminateJVM(int)", 1))
    assert refused["status"] == 403
    elsewhere = {**settings, "ACTIVEMQ_HOSTS": f"127.1:{up.ports[0]}"}
    with pytest.raises(Unavailable, match=r"http://127\.1 is not allowed"):
        jolokia(elsewhere, operation("purge()"))


@pytest.mark.parametrize("containers", ["pulsar"], indirect=True)
def test_pulsars_program_in_the_container(up):
    """What the README has for it. It finds the broker by the image's own settings."""
    tasks = up.send_tasks()
    admin = ("exec", "--no-TTY", "pulsar", "bin/pulsar-admin", "topics")
    listed = up.compose(*admin, "list", "public/default")
    assert listed.split() == ["persistent://public/default/music_tasks"]
    waiting = ("-s", "encoders")
    assert tasks[0] in up.compose(
        *admin, "peek-messages", *waiting, "-n", "1", "music_tasks"
    )
    up.compose(*admin, "clear-backlog", *waiting, "music_tasks")
    stats = json.loads(up.compose(*admin, "stats", "music_tasks"))
    assert stats["subscriptions"]["encoders"]["msgBacklog"] == 0


@pytest.mark.parametrize("containers", ["rocketmq"], indirect=True)
def test_rocketmq_ends_by_itself(up):
    """When Docker stops it. Killed, it would lose what it has in memory only."""
    up.compose("stop", *up.broker.services)
    stopped = up.inspect()
    assert [each["State"]["Status"] for each in stopped] == ["exited"] * 2
    assert [each["State"]["ExitCode"] for each in stopped] == [0] * 2


def test_lab_takes_over_what_compose_has_brought_up(up):
    before = up.ids()
    found = up.lab("up", "--docker", up.broker.name)
    assert found.out[0].endswith(", in Docker, as before.")
    assert up.ids() == before
    assert up.lab("down", up.broker.name).status == 0
    assert not up.ids()


def test_lab_starts_a_stopped_container_again(up):
    before = up.ids()
    up.compose("stop", *up.broker.services)
    status = up.lab("status", up.broker.name)
    assert status.status == 1
    assert status.out[0].startswith(f"{up.broker.title} is down: nothing listens")
    assert up.lab("logs", up.broker.name).out
    started = up.lab("up", up.broker.name)
    assert started.status == 0, started
    assert up.ids() == before

    up.compose("stop", *up.broker.services)
    assert up.lab("down", up.broker.name).out[-1] == f"{up.broker.title} is down."
    assert not up.ids()


def test_lab_moves_to_other_ports(up):
    """The settings have changed since it was started. Its messages come along."""
    tasks = up.send_tasks()
    ports = free_ports(up.broker)
    moved = Containers(
        up.broker, {**up.environment, **ports, **up.broker.addresses_on(ports)}
    )
    started = moved.lab("up", "--docker", up.broker.name)
    assert started.status == 0, started
    assert moved.lab("status", up.broker.name).out[0].endswith(", in Docker.")
    assert up.lab("status", up.broker.name).status == 1
    moved.finish_tasks(tasks)
    # With the old settings again.
    assert up.lab("down", up.broker.name).out[-1] == f"{up.broker.title} is down."
    assert not up.ids()
