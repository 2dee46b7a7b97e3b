"""A broker as processes of this machine, with its data in a folder of its own."""

from __future__ import annotations

import fcntl
import math
import os
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path

from lab.broker import (
    ROOT,
    Broker,
    LabError,
    Process,
    Report,
    Unavailable,
    fill,
    writing,
)
from lab.libraries import Library

psutil = Library("psutil", "tests")

# Every process that an instance starts, and whatever these start, carries this
# variable with the instance's folder as its value. So they are found again by
# asking the system: there is no PID file to get lost or to name a stranger.
MARK = "MESSAGE_BROKER_LAB"

# What a broker gets of the user's environment. Of the rest, RABBITMQ_... or JAVA_...
# variables could send it to other data or ports.
INHERITED = ("PATH", "LANG", "TMPDIR", "TZ", "USER", "LOGNAME")
INHERITED_PREFIXES = ("LC_", "LAB_")

STOP_SECONDS = 30  # RabbitMQ writes its messages to disk first
POLL_SECONDS = 0.2
# A process that is killed loses its name and its variables at once, and its ports when
# the system has cleared its memory.
DYING_SECONDS = 5
# Pulsar may forget its own bookie at a start after a SIGKILL, and for ever: it sees the
# old registration end after the new one has begun. A clean stop leaves no old one.
NO_STORAGE_SECONDS = 30
# Below what systems take for outgoing connections: Linux from 32768, macOS from 49152.
PORTS = range(20_000, 32_000)
# Bytes on the disk. On a full one some brokers start and then refuse or lose messages.
# Pulsar alone takes 300 MB at its first start.
ROOM = 400_000_000


class NoStorageError(Unavailable):
    """A broker that answers, and cannot store messages."""


def lab_home() -> Path:
    """The folder for data: LAB_HOME, or ``.lab`` in the repository."""
    return Path(os.environ.get("LAB_HOME") or ROOT / ".lab").resolve()


class Instance:
    """One local broker: its processes, its folder ``home``, its settings."""

    def __init__(self, broker: Broker, home: Path, environment: Mapping[str, str]):
        self.broker = broker
        self.home = home
        self.settings = broker.settings(environment)
        self.log = home / "broker.log"
        self.started: list[subprocess.Popen] = []  # by this object itself

    def processes(self) -> list[psutil.Process]:
        """The running processes of this instance, whoever started them."""
        return [p for p in psutil.process_iter() if marked(p, self.home)]

    def roots(self) -> list[psutil.Process]:
        """Those of the processes that no other of them has started."""
        processes = self.processes()
        pids = {process.pid for process in processes}
        return [process for process in processes if parent(process) not in pids]

    def is_running(self) -> bool:
        """Whether the broker itself runs, or starts, on the port of the settings.

        A helper that has outlived it, or a broker on another port, does not count.
        """
        port = int(self.settings[self.broker.ports[0].setting])
        youngest = time.time() - self.broker.ready_seconds
        for process in self.processes():
            with suppress(psutil.Error):
                if any(
                    each.status == psutil.CONN_LISTEN and each.laddr.port == port
                    for each in process.net_connections("tcp")
                ):
                    return True
                if process.create_time() > youngest and not is_taken(port):
                    return True
        return False

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep out every other start of this instance. Raises LabError."""
        with self.writing():
            self.home.mkdir(parents=True, exist_ok=True)
            lock = (self.home / "lock").open("w")
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def writing(self) -> AbstractContextManager[None]:
        """As ``lab.broker.writing``, for the broker's folder."""
        return writing(self.home, "LAB_HOME")

    def memory(self) -> int:
        """Resident memory of all processes together, in bytes."""
        used = 0
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                used += process.memory_info().rss
        return used

    def values(self, report: Report) -> dict[str, str]:
        """What the templates of the broker name, but for the ``inner_ports``.

        Raises LabError where its software cannot be had.
        """
        return {
            "home": str(self.home),
            "config": str(ROOT / "config" / self.broker.name),
            "loopback": loopback_interface(),
            **self.settings,
            **self.broker.software.provide(report),
        }

    def start(self, report: Report) -> str:
        """Start the broker and wait until it answers; returns its version.

        Raises LabError when a port is taken or the disk full, or when the broker ends
        or stays silent; then nothing of it is left running.
        """
        values = self.lay_out(report)
        report(f"Starting {self.broker.title}")
        try:
            self.run_preparations(values)
            self.launch_all(values)
            try:
                return self.wait_until_ready(NO_STORAGE_SECONDS)
            except NoStorageError:
                report(f"Starting {self.broker.title} again: it cannot store messages")
                self.stop()
                self.launch_all(values)
                return self.wait_until_ready()
        except BaseException:
            self.stop()
            raise

    def lay_out(self, report: Report) -> dict[str, str]:
        """Put all in place that the processes need; returns what their templates name.

        Raises LabError when something is missing: a port, room on the disk, software.
        """
        values = self.values(report)
        self.check_ports()
        values |= {name: str(free_port()) for name in self.broker.inner_ports}
        with self.writing():
            self.home.mkdir(parents=True, exist_ok=True)
            for name, text in self.broker.files.items():
                path = self.home / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(fill(text, values))
        self.check_room()
        return values

    def run_preparations(self, values: Mapping[str, str]) -> None:
        """Run what has to end before the broker starts. Raises LabError."""
        for process in self.broker.prepare:
            self.launch(process, values)
            if self.started[-1].wait():
                self.check_alive()
            self.started.clear()

    def launch_all(self, values: Mapping[str, str]) -> None:
        """Start the broker's processes, each when it may. Raises LabError."""
        for process in self.broker.processes:
            if process.after:
                self.wait_for_port(process.after)
            self.launch(process, values)

    def launch(self, process: Process, values: Mapping[str, str]) -> None:
        """Start one of the broker's processes, its output in the log."""
        environment = {
            name: fill(text, values) for name, text in process.environment.items()
        }
        with self.writing():
            log = self.log.open("a")
        with log:
            self.started.append(
                subprocess.Popen(
                    [fill(part, values) for part in process.command],
                    cwd=self.home,
                    env={**inherited(), MARK: str(self.home), **environment},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    # A Ctrl-C in the user's terminal is not for the broker.
                    start_new_session=True,
                )
            )

    def check_alive(self) -> None:
        """Raises LabError when one of the processes that it started has ended."""
        for process in self.started:
            if process.poll() is not None:
                title, name = self.broker.title, self.broker.name
                raise LabError(
                    f"{title} ended while starting, with status {process.returncode}. "
                    f"Its log says why: python -m lab logs {name}"
                )

    def wait_for_port(self, setting: str) -> None:
        """Wait until one of the processes listens there.

        Raises LabError when one of them ends, or when the time is over.
        """
        deadline = time.monotonic() + self.broker.ready_seconds
        while not listens(int(self.settings[setting])):
            self.check_alive()
            if time.monotonic() > deadline:
                raise LabError(
                    f"{self.broker.title} did not open port {self.settings[setting]} "
                    f"within {self.broker.ready_seconds:g} seconds."
                )
            time.sleep(POLL_SECONDS)

    def wait_until_ready(self, no_storage_seconds: float = math.inf) -> str:
        """Wait until the broker answers; returns its version.

        Raises LabError when one of its processes ends, or when the time is over;
        NoStorageError when for so long it has answered, but could store nothing.
        """
        deadline = time.monotonic() + self.broker.ready_seconds
        refusals_end = None
        storage_end = None
        while True:
            self.check_alive()
            try:
                version = self.broker.probe(self.settings)
                if self.broker.check_storage:
                    storage_end = storage_end or time.monotonic() + no_storage_seconds
                    self.check_storage(storage_end)
                return version
            except NoStorageError:
                raise
            except Unavailable as error:
                now = time.monotonic()
                if self.started and self.broker.announce and not error.refused:
                    self.broker.announce(self.settings)
                if error.refused:
                    refusals_end = None
                elif refusals_end is None:
                    refusals_end = now + self.broker.refusal_seconds
                elif now > refusals_end:
                    raise
                if now > deadline:
                    raise LabError(
                        f"{self.broker.title} was not ready within "
                        f"{self.broker.ready_seconds:g} seconds: {error}"
                    ) from None
            time.sleep(POLL_SECONDS)

    def check_storage(self, end: float) -> None:
        """Raises Unavailable, or after this time NoStorageError."""
        try:
            self.broker.check_storage(self.settings)
        except Unavailable as error:
            if time.monotonic() > end:
                raise NoStorageError(str(error)) from None
            raise

    def check_ports(self) -> None:
        """Raises LabError when a port that the broker needs is taken."""
        for port in self.broker.ports:
            first, *beside = port.taken(self.settings)
            for number in (first, *beside):
                which = f"port {number}"
                if number != first:
                    which += f", which {self.broker.title} takes beside {first},"
                if holder := wait_until_free(number):
                    raise LabError(
                        f"{which} is taken by {holder}. "
                        f"Stop it, or set {port.setting} in .env to a free port."
                    )

    def check_room(self) -> None:
        """Raises LabError when the disk with the broker's folder is nearly full."""
        left = shutil.disk_usage(self.home).free
        if left < ROOM:
            raise LabError(
                f"only {left / 1e6:.0f} MB are left for {self.home}, and "
                f"{self.broker.title} may need {ROOM / 1e6:.0f}. Make room, or name "
                "another folder in LAB_HOME."
            )

    def stop(self) -> bool:
        """End all processes of this instance; False where there was none."""
        asked: set[psutil.Process] = set()
        deadline = time.monotonic() + STOP_SECONDS
        # Asked afresh each time: a broker that is just starting starts helpers.
        while roots := self.roots():
            for process in set(roots) - asked:
                terminate(process)
            asked |= set(roots)
            psutil.wait_procs(roots, timeout=POLL_SECONDS)
            if time.monotonic() > deadline:
                self.kill()
        self.reap()
        return bool(asked)

    def kill(self, found: Iterable[psutil.Process] = ()) -> None:
        """End all processes at once, as a power cut would.

        Those that have been ``found`` are not looked for first, which takes a while.
        They are waited for even where they are dying, and would not be found any more.
        """
        processes = [*found] or self.processes()
        while processes:
            for process in processes:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(processes, timeout=STOP_SECONDS)
            processes = self.processes()
        self.reap()

    def reap(self) -> None:
        """Take note of the ends of the processes that this object has started."""
        for process in self.started:
            process.wait()
        self.started.clear()


def marked(process: psutil.Process, home: Path) -> bool:
    try:
        return (
            process.environ().get(MARK) == str(home)
            and process.status() != psutil.STATUS_ZOMBIE
        )
    except (psutil.Error, OSError):
        return False  # somebody else's, or gone in the meantime


def inherited() -> dict[str, str]:
    return {
        name: value
        for name, value in os.environ.items()
        if name in INHERITED or name.startswith(INHERITED_PREFIXES)
    }


def parent(process: psutil.Process) -> int | None:
    """The id of the process that has started it; None where it has just ended."""
    with suppress(psutil.NoSuchProcess):
        return process.ppid()
    return None


def terminate(process: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):
        process.terminate()


def is_taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def loopback_interface() -> str:
    """The name of the network interface with 127.0.0.1: "lo", "lo0"."""
    return next(
        name
        for name, addresses in psutil.net_if_addrs().items()
        if any(each.address == "127.0.0.1" for each in addresses)
    )


def wait_until_free(port: int) -> str | None:
    """Returns None, or who holds the port: of one without a name, after a while."""
    deadline = time.monotonic() + DYING_SECONDS
    while is_taken(port):
        if holder := listener(port):
            return holder
        if time.monotonic() > deadline:
            return "another program"
        time.sleep(POLL_SECONDS)
    return None


def listener(port: int) -> str | None:
    """Who listens on the port, as far as the system tells: name and process id."""
    with suppress(psutil.Error):  # some systems show this to root only
        for connection in psutil.net_connections("tcp"):
            if (
                connection.status == psutil.CONN_LISTEN
                and connection.laddr.port == port
                and connection.pid
            ):
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    return None


def free_ports(broker: Broker) -> dict[str, str]:
    """The broker's settings for ports, each as ``free_port`` finds it."""
    return {port.setting: str(free_port(port.beside)) for port in broker.ports}


def free_port(beside: Iterable[int] = ()) -> int:
    """A port that nobody listens on, and that no other lab gets while this one runs.

    So are those ``beside`` it, counted from it. Between this and the moment when the
    broker listens, seconds pass. So the ports are none that a system takes for outgoing
    connections, and each is claimed by a UDP socket of the same number, which no broker
    wants. Raises LabError where there is none.
    """
    for number in random.sample(PORTS, len(PORTS)):
        if claim([number, *(number + each for each in beside)]):
            return number
    raise LabError(
        f"no free port between {PORTS[0]} and {PORTS[-1]}. Stop what listens there; "
        "the brokers of the lab with: python -m lab down"
    )


def claim(ports: Iterable[int]) -> bool:
    """Keep all of them for this process, or none."""
    with ExitStack() as sockets:
        claims = []
        for number in ports:
            claims.append(sockets.enter_context(socket.socket(type=socket.SOCK_DGRAM)))
            try:
                claims[-1].bind(("127.0.0.1", number))
            except OSError:
                return False
            if is_taken(number):
                return False
        for each in claims:
            each.detach()  # it stays open until this process ends
    return True
