"""What the benchmarks share: figures beside promises, and a broker of their own."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from lab.broker import ROOT, Broker
from lab.brokers import BROKERS
from lab.local import Instance, free_ports

ROUNDS = 5


class Figures:
    """Prints each figure beside its promise, and counts the missed ones."""

    def __init__(self) -> None:
        self.missed = 0

    def at_most(self, what: str, value: float, promise: float, unit: str) -> None:
        self.show(what, value, promise, unit, "at most", value <= promise)

    def at_least(self, what: str, value: float, promise: float, unit: str) -> None:
        self.show(what, value, promise, unit, "at least", value >= promise)

    def show(self, what, value, promise, unit, relation, good) -> None:
        self.missed += not good
        verdict = "" if good else "   MISSED"
        print(f"{what}: {value:.2f} {unit} ({relation} {promise} {unit}){verdict}")


class Measured(NamedTuple):
    """A broker of the benchmark's own, not started yet."""

    broker: Broker
    instance: Instance
    environment: Mapping[str, str]  # for scripts and for the lab


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
            numbers = map(str, free_ports(len(broker.ports)))
            ports = dict(zip(broker.default_ports, numbers, strict=True))
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


def bring_up(figures: Figures, measured: Measured, *, in_seconds: float, mb: float):
    """``lab up`` with everything installed: its time, and the broker's memory then."""
    name, environment = measured.broker.name, measured.environment
    command = [sys.executable, "-m", "lab", "up", "--local", name]
    up = seconds(lambda: run(*command, environment=environment))
    figures.at_most(f"lab up {name}", up, in_seconds, "s")
    memory = measured.instance.memory() / 1e6
    figures.at_most("memory of the broker", memory, mb, "MB")


def compare_producer(figures: Figures, measured: Measured, bare: str) -> None:
    """The work queue's producer from start to end, against the bare client."""
    script = f"{measured.broker.name}/{measured.broker.name}_producer.py"
    commands = [sys.executable, script], [sys.executable, "-c", bare]
    pairs = [
        [
            seconds(lambda c=c: run(*c, environment=measured.environment))
            for c in commands
        ]
        for _ in range(3 * ROUNDS)
    ]
    ours, theirs = medians(pairs)
    print(f"    the script {ours * 1000:.0f} ms, bare {theirs * 1000:.0f} ms")
    figures.at_most(f"{script}, start to end", ours / theirs, 1.3, "times")


def medians(pairs: list) -> tuple[float, float]:
    ours, theirs = (statistics.median(side) for side in zip(*pairs, strict=True))
    return ours, theirs
