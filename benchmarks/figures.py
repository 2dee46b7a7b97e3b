"""What the benchmarks share: figures beside promises, and brokers of their own."""

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from lab.broker import ROOT, Broker, Report, Unavailable
from lab.brokers import BROKERS
from lab.local import Instance, free_ports

ROUNDS = 5
STARTS = (
    3  # of each kind; the fastest counts, which others on the machine disturb least
)
MORE_BY_THE_LAB = 2  # seconds that a start with the lab may take more than by hand
POLL_SECONDS = 0.05


class Figures:
    """Prints each figure, beside its promise if it has one, and counts these."""

    def __init__(self) -> None:
        self.kept = 0
        self.missed: list[str] = []
        self.starts: dict[str, float] = {}  # broker -> seconds of its `lab up`
        self.yardstick = yardstick()
        print(f"Yardstick, a fixed loop: {self.yardstick:.2f} s")

    def at_most(self, what: str, value: float, promise: float, unit: str) -> None:
        self.compare(what, value, f"at most {promise} {unit}", unit, value <= promise)

    def at_least(self, what: str, value: float, promise: float, unit: str) -> None:
        self.compare(what, value, f"at least {promise} {unit}", unit, value >= promise)

    def compare(self, what, value, promise, unit, good) -> None:
        verdict = "" if good else "   MISSED"
        print(f"{what}: {value:.2f} {unit} ({promise}){verdict}", flush=True)
        if good:
            self.kept += 1
        else:
            self.missed.append(f"{what}: {value:.2f} {unit}, {promise}")

    def tell(self, what: str, seconds: float) -> None:
        """A time without a promise: another machine, another time."""
        yardsticks = seconds / self.yardstick
        print(f"    {what}: {seconds:.2f} s ({yardsticks:.1f} yardsticks)", flush=True)


def yardstick() -> float:
    """Seconds for ten million rounds of an empty loop, the fastest of three times."""

    def loop() -> None:
        for _ in range(10_000_000):
            pass

    return min(seconds(loop) for _ in range(3))


class Measured(NamedTuple):
    """A broker of the benchmark's own, not started yet."""

    broker: Broker
    instance: Instance
    environment: Mapping[str, str]  # for scripts and for the lab


class Part(NamedTuple):
    """What is measured of a broker."""

    broker: str
    mb: float  # promised memory after its start
    bare: str | None = None  # a program: what its producer sends, with nothing around
    speeds: tuple[str, ...] = ()  # scripts that print one, with their arguments
    first: Callable[[Figures], None] | None = None
    more: Callable[[Figures, Measured], None] | None = None  # on the broker that is up

    def measure(self, figures: Figures) -> None:
        if self.first:
            self.first(figures)
        compare_starts(figures, self.broker)
        with broker_of_its_own(self.broker) as measured:
            lab_up(measured)
            memory = measured.instance.memory() / 1e6
            figures.at_most("memory of the broker", memory, self.mb, "MB")
            if self.bare:
                compare_producer(figures, measured, self.bare)
            for speed in self.speeds:
                print(f"    {speed}: {speed_of(measured, speed)}", flush=True)
            if self.more:
                self.more(figures, measured)


@contextmanager
def broker_of_its_own(name: str) -> Iterator[Measured]:
    """On free ports, in a folder that goes at the end, as does the broker."""
    with brokers_of_their_own(name) as (measured,):
        yield measured


@contextmanager
def brokers_of_their_own(*names: str) -> Iterator[list[Measured]]:
    """The same for several, in one folder."""
    with tempfile.TemporaryDirectory() as home, ExitStack() as at_the_end:
        found = []
        for name in names:
            broker = BROKERS[name]
            ports = free_ports(broker)
            environment = {**ports, **broker.addresses_on(ports), "LAB_HOME": home}
            instance = Instance(broker, Path(home).resolve() / name, environment)
            at_the_end.callback(instance.stop)
            found.append(Measured(broker, instance, environment))
        yield found


def seconds(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def run(*command: str, environment: Mapping[str, str]) -> str:
    """The output of a command that has to succeed."""
    return subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **environment},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout


def python(*arguments: str, environment: Mapping[str, str]) -> str:
    return run(sys.executable, *arguments, environment=environment)


def lab_up(*measured: Measured) -> float:
    """Seconds that ``lab up`` takes for them, everything downloaded."""
    names = [each.broker.name for each in measured]
    environment = {k: v for each in measured for k, v in each.environment.items()}
    command = ("-m", "lab", "up", "--local", *names)
    return seconds(lambda: python(*command, environment=environment))


def start_by_hand(measured: Measured) -> float:
    """Seconds from the launch of the same processes until the broker answers.

    So without what the lab does before that and around it.
    """
    instance = measured.instance
    values = instance.lay_out(Report())

    def start() -> None:
        instance.run_preparations(values)
        instance.launch_all(values)
        while not answers(measured):
            instance.check_alive()
            time.sleep(POLL_SECONDS)

    return seconds(start)


def answers(measured: Measured) -> bool:
    with suppress(Unavailable):
        return bool(measured.broker.probe(measured.instance.settings))
    return False


def compare_starts(figures: Figures, name: str) -> None:
    """``lab up``, nothing on the disk yet, against the broker's own start."""
    pairs = []
    for _ in range(STARTS):
        pair = []
        for start in lab_up, start_by_hand:
            with broker_of_its_own(name) as measured:
                pair.append(start(measured))
        pairs.append(pair)
    ours, own = (min(side) for side in zip(*pairs, strict=True))
    figures.starts[name] = ours
    figures.tell(f"lab up {name}", ours)
    figures.tell("the same processes, started by hand", own)
    figures.at_most("lab up, more than by hand", ours - own, MORE_BY_THE_LAB, "s")


def compare_producer(figures: Figures, measured: Measured, bare: str) -> None:
    """The work queue's producer from start to end, against the bare client."""
    script = f"{measured.broker.name}/{measured.broker.name}_producer.py"
    commands = (script,), ("-c", bare)
    pairs = [
        [
            seconds(lambda c=c: python(*c, environment=measured.environment))
            for c in commands
        ]
        for _ in range(3 * ROUNDS)
    ]
    ours, theirs = medians(pairs)
    figures.tell(script, ours)
    figures.tell("bare", theirs)
    figures.at_most(f"{script}, start to end", ours / theirs, 1.3, "times")


def speed_of(measured: Measured, script: str) -> str:
    """The last part of the line in which a script tells its speed."""
    name, *arguments = script.split()
    path = f"{measured.broker.name}/{name}"
    printed = python(path, *arguments, environment=measured.environment)
    return re.search(r"[\d,]+/s", printed)[0]


def medians(pairs: list) -> tuple[float, float]:
    ours, theirs = (statistics.median(side) for side in zip(*pairs, strict=True))
    return ours, theirs
