"""What is promised within so many seconds, each of it with the machine to itself."""

import time

import pytest

from tests.parameters import every, every_broker, path_of
from tests.support import (
    PROMISED_SECONDS,
    check_one_line,
    finish,
    in_order,
    start,
)

pytestmark = pytest.mark.alone

# Bad setting -> the fault as docs/faults.md has it.
REPORTED = {"down": "down", "wrong password": "password"}


@pytest.mark.parametrize(("name", "bad"), **every("bad_settings", lambda bad: bad.name))
def test_bad_settings(name, bad, live, silent_port, record):
    """Settings and guard of all scripts are equal: tests/static holds them so."""
    broker = live(name)
    environment = broker.environment | bad.change(broker.settings, silent_port)
    began = time.monotonic()
    running = [
        start(path_of(name, role), environment=environment)
        for role in ("producer", "consumer", "rpc_client")
    ]
    for process in running:
        check_one_line(finish(process), says=bad.says, secret=broker.row.secret)
    slowest = time.monotonic() - began
    assert slowest < PROMISED_SECONDS
    if bad.name in REPORTED:
        record(
            "faults",
            REPORTED[bad.name],
            name,
            "status 1, and one line: where, what, what to try",
            f"producer, worker and RPC client, the slowest after {slowest:.1f} s",
        )


@every_broker
def test_the_task_of_a_killed_worker_is_elsewhere(name, live, record):
    broker = live(name, settled=True)
    with in_order(path_of(name, "consumer"), broker.environment) as (doomed, other):
        producer = start(path_of(name, "producer"), environment=broker.environment)
        interrupted = doomed.line()
        assert interrupted.startswith("Encoding ")
        doomed.child.kill(9)
        killed = time.monotonic()
        finish(producer)
        other.wait_for(interrupted)
    seconds = time.monotonic() - killed
    assert seconds < 20
    record(
        "behaviours",
        "killed",
        name,
        "goes to another worker",
        f"after {seconds:.1f} s",
    )


@every_broker
def test_a_producer_whose_broker_dies_ends(name, new_broker):
    path = path_of(name, "confirms_async_producer")
    ended, seconds = new_broker(name).die_at_work(path, "1")
    assert ended.status == 1
    (count,) = ended.out  # none where it was not at work yet
    assert count.endswith(" payments are not confirmed")
    assert seconds < PROMISED_SECONDS
