"""A broker that tests use: their own, or one that was there before them."""

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from lab.broker import Broker, Report
from lab.local import Instance, free_ports
from tests.parameters import path_of
from tests.rows import ROWS
from tests.rows.row import Row
from tests.support import (
    PATIENCE,
    Ended,
    Tab,
    each_of,
    finish,
    run,
    start,
    wait_until,
)

LOGS = pytest.StashKey[dict[Path, int]]()  # of a test's brokers, and where each began


@dataclass(frozen=True)
class Live:
    """A broker that answers."""

    row: Row
    settings: Mapping[str, str]
    environment: Mapping[str, str]  # for scripts and for the lab
    instance: Instance | None  # None where it is not the tests' own

    @property
    def client_port(self) -> str:
        return self.settings[self.row.broker.ports[0].setting]

    def is_connected(self, pid: int) -> bool:
        """Whether this process has a connection to it."""
        ports = {int(self.settings[port.setting]) for port in self.row.broker.ports}
        return any(
            connection.raddr and connection.raddr.port in ports
            for connection in psutil.Process(pid).net_connections("tcp")
        )

    def start(self) -> None:
        """Start it, with what its scripts only use. Raises LabError."""
        self.check_version(self.instance.start(Report()))
        self.row.broker.run_setup(self.settings)

    def check_version(self, version: str) -> None:
        """Raises AssertionError where it is not the one of TEST_..._VERSION."""
        assert version == (wanted_version(self.row.broker.name) or version)

    def warm_up(self) -> None:
        """Use it once: the first time takes longest, and scripts give up soon."""
        name, environment = self.row.broker.name, self.environment

        def answers() -> bool:
            with Tab(path_of(name, "rpc_server"), environment=environment) as server:
                server.line()
                ended = run(path_of(name, "rpc_client"), environment=environment)
                server.press_ctrl_c()
                server.end()
            return ended.status == 0

        wait_until(answers, 2 * PATIENCE)

    def die_at_work(self, path: Path, *arguments: str) -> tuple[Ended, float]:
        """SIGKILL it when it has a producer's first payment.

        Returns what the producer has said, and how many seconds later it ended. All
        payments may be sent within a fifth of a second: there is no time to look for
        processes, or to open a connection.
        """
        processes = self.instance.processes()
        # The connection ends with the broker, whatever that is called by its client.
        with suppress(Exception), self.row.count_payments(self.settings) as count:
            producer = start(path, *arguments, environment=self.environment)
            deadline = time.monotonic() + PATIENCE
            while not count() and time.monotonic() < deadline:
                pass
            each_of(processes, psutil.Process.kill)
        killed = time.monotonic()
        self.instance.kill(processes)
        # Of some thousand payments, RocketMQ's client tries each three times.
        ended = finish(producer, 100)
        return ended, time.monotonic() - killed


def note_log(test: pytest.Item, instance: Instance) -> None:
    """What is logged from now on is shown where the test fails."""
    test.stash.setdefault(LOGS, {})[instance.log] = instance.log.stat().st_size


def told(error: Exception, broker: Live) -> str:
    """Why it did not start, with its log where there is one."""
    log = broker.instance.log
    return f"{error}\n{log.read_text() if log.exists() else ''}".rstrip()


def wanted_version(name: str) -> str | None:
    return os.environ.get(f"TEST_{name.upper()}_VERSION")


def of_its_own(broker: Broker, home: Path) -> Live:
    """On free ports, with its data below this folder. It is not started."""
    ports = free_ports(broker)
    return at_home(broker, home, {**ports, **broker.addresses_on(ports)})


def at_home(broker: Broker, home: Path, environment: Mapping[str, str]) -> Live:
    """The one with its data there, whoever has started it."""
    environment = {
        **environment,
        "LAB_HOME": str(home),
        # Of this project there are no containers: `lab down` in a test must not
        # find those of the user's own.
        "COMPOSE_PROJECT_NAME": "message-broker-lab-tests",
    }
    instance = Instance(broker, home / broker.name, environment)
    settings = instance.settings
    return Live(ROWS[broker.name], settings, {**environment, **settings}, instance)
