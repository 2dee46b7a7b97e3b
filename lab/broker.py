"""What the lab knows of a broker. Each module in ``lab/brokers`` fills one of these."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from typing import NamedTuple, Protocol

ROOT = Path(__file__).resolve().parent.parent
INTERRUPTED = 130  # the status of a program that Ctrl-C has ended


class LabError(Exception):
    """Something the user can mend: the message is one line and names the cure."""


class Unavailable(LabError):
    """A broker that does not answer as it should.

    ``refused`` is true where nothing at all listens on the port.
    """

    def __init__(self, message: str, *, refused: bool = False):
        super().__init__(message)
        self.refused = refused


@contextmanager
def writing(folder: Path, setting: str | None = None) -> Iterator[None]:
    """Around what writes below a folder: raises LabError where that is not possible.

    ``setting`` is the environment variable that names another folder, if there is one.
    """
    try:
        yield
    except OSError as error:
        elsewhere = f", or name another folder in {setting}" if setting else ""
        raise LabError(
            f"cannot write to {folder}: {error.strerror or error}. Make room or mend "
            f"its permissions{elsewhere}."
        ) from None


class Port(NamedTuple):
    """A port that a broker publishes on this machine."""

    setting: str  # the name in .env and docker-compose.yml
    default: int
    # Ports that the broker takes besides, counted from this one.
    beside: tuple[int, ...] = ()

    def taken(self, settings: Mapping[str, str]) -> list[int]:
        """All that the broker takes with these settings; the one that is set first."""
        number = int(settings[self.setting])
        return [number, *(number + each for each in self.beside if number + each > 0)]


class Endpoint(NamedTuple):
    """Where a client connects."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class Thing(NamedTuple):
    """Something durable that a script creates on the broker."""

    kind: str  # in the broker's own words: "queue", "exchange", "topic"
    name: str
    keeps_messages: bool = True

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


class Content(NamedTuple):
    """What the broker itself says of a thing."""

    thing: Thing
    messages: int | None  # that wait there; None where it keeps none
    consumers: int | None  # None where the broker does not know


class Report:
    """Tells the user what is going on, in plain lines."""

    def __call__(self, step: str) -> None:
        """A step begins that may take a while."""
        print(f"{step} ...", flush=True)

    @contextmanager
    def bytes(self, total: int) -> Iterator[Callable[[int], None]]:
        """A function to call with the number of bytes that have just arrived."""
        yield lambda count: None


class Software(Protocol):
    """Where the program of a local broker comes from."""

    requirements: tuple[str, ...]
    """The files of Python libraries that it needs, from the root of the checkout."""

    def cure(self) -> str | None:
        """What to type where the program cannot be had here; None where it can."""

    def provide(self, report: Report) -> dict[str, str]:
        """Find the program, or install it after saying so through ``report``.

        Returns the values that the broker's templates name. Raises LabError with
        the command to type where it cannot be installed from here.
        """


@dataclass(frozen=True)
class Process:
    """One operating system process of a local broker. All strings are templates."""

    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    after: str | None = None  # setting of a port: started when something listens there


@dataclass(frozen=True)
class Broker:
    """A broker as data, the same shape for all of them.

    Templates are ``string.Template`` strings. They may name every port setting,
    every ``inner_ports`` name, what ``software`` provides, ``$home`` (the folder for
    this broker's data), ``$config`` (its folder below ``config/``) and ``$loopback``
    (the network interface of this machine that nobody else reaches).
    """

    name: str  # also the folder of its scripts
    title: str
    services: tuple[str, ...]  # in docker-compose.yml
    ports: tuple[Port, ...]  # the first is the one clients connect to
    addresses: Mapping[str, str]  # setting that the scripts read -> template
    credentials: Mapping[str, str]  # setting that the scripts read -> default
    page: str | None  # template: address and login of its page for the browser

    software: Software
    prepare: tuple[Process, ...]  # run to their end, one by one, before the others
    processes: tuple[Process, ...]  # started in this order
    files: Mapping[str, str]  # path below $home -> template of its text
    inner_ports: tuple[str, ...]  # free ports picked at each start
    ready_seconds: float  # the longest that a start may take

    endpoints: Callable[[Mapping[str, str]], list[Endpoint]]
    """Settings -> where the scripts connect. Raises LabError on a malformed one."""
    probe: Callable[[Mapping[str, str]], str]
    """Log in as a script does; returns the version. Raises Unavailable with the why."""
    contents: Callable[[Mapping[str, str]], list[Content]]
    """All that is on the broker. Raises Unavailable."""
    creates: Mapping[str, tuple[Thing, ...]]  # pattern -> what its scripts leave behind
    delete: Callable[[Mapping[str, str], Iterable[Thing]], None]
    """Delete things, also those that are not there. Raises Unavailable."""
    delete_settled: Callable[[Mapping[str, str], Iterable[Thing]], None] | None = None
    """As ``delete``, and waits until the broker has also forgotten who had taken what;
    for one that would apply it to new messages. Raises Unavailable."""
    counts_at_once: bool = False
    """Whether a connection ends before its consumers do, and ``contents`` knows at once
    when they have."""
    page_needs_docker: bool = False  # whether only the container has the page
    tool: Process | None = None
    """Its own command-line tool, to which arguments are added."""
    setup: str | None = None
    """The script in its folder that makes what the other scripts only use."""
    check_storage: Callable[[Mapping[str, str]], None] | None = None
    """Where ``probe`` answers before messages can be stored: raises Unavailable until
    they can. Only for a broker that the lab has just started."""
    announce: Callable[[Mapping[str, str]], None] | None = None
    """Where clients find the broker through another server, which may come to know it
    late: asks the broker to make itself known. May be called again and again, once the
    clients' port is open. Only for a broker that the lab has just started."""
    refusal_seconds: float = 15
    """How long one that starts may listen and not yet answer as it should."""

    @property
    def folder(self) -> Path:
        return ROOT / self.name

    def clear(self, settings: Mapping[str, str], things: Iterable[Thing]) -> None:
        """Delete things for good, which may take a while. Raises Unavailable."""
        (self.delete_settled or self.delete)(settings, things)

    def run_setup(self, settings: Mapping[str, str]) -> None:
        """Run the script that makes what the others only use, where there is one.

        Raises LabError with what it says.
        """
        if self.setup is None:
            return
        done = subprocess.run(
            [sys.executable, str(self.folder / self.setup)],
            env={**os.environ, **settings},
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise LabError(done.stderr.strip())

    def pattern(self, slug: str) -> str:
        """The pattern whose name begins this one: fanout of fanout-with-nobody-there.

        The slug itself where no pattern's does.
        """
        return max(
            (name for name in self.creates if f"{slug}-".startswith(f"{name}-")),
            key=len,
            default=slug,
        )

    def all_things(self) -> list[Thing]:
        """What all patterns together leave behind, each thing once."""
        every = (thing for things in self.creates.values() for thing in things)
        return list(dict.fromkeys(every))

    def settings(self, environment: Mapping[str, str]) -> dict[str, str]:
        """The broker's settings: from ``environment``, else the defaults.

        As in the scripts, the default of an address does not follow a changed port.
        """
        settings = {
            name: environment.get(name) or default
            for name, default in self.default_ports.items()
        }
        for name, value in settings.items():
            if not (value.isdecimal() and 0 < int(value) < 65536):
                raise LabError(f"{name}={value} is no port number. Mend it in .env.")
        for name, template in self.addresses.items():
            settings[name] = environment.get(name) or fill(template, self.default_ports)
        for name, default in self.credentials.items():
            settings[name] = environment.get(name) or default
        return settings

    def addresses_on(self, ports: Mapping[str, str]) -> dict[str, str]:
        """What the scripts need to find the broker on these ports of this machine."""
        return {name: fill(text, ports) for name, text in self.addresses.items()}

    @property
    def default_ports(self) -> dict[str, str]:
        return {port.setting: str(port.default) for port in self.ports}


def fill(template: str, values: Mapping[str, str]) -> str:
    """The template with its ``$names`` replaced. Raises KeyError for an unknown one."""
    return Template(template).substitute(values)
