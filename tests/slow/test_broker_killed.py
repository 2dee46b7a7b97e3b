"""A broker that dies: SIGKILL, while consumers wait and while producers send."""

import re
import time
from pathlib import Path

import pytest

from lab.broker import Report
from tests.parameters import every_broker, path_of, scripts_of
from tests.rows import ROWS
from tests.support import (
    PATIENCE,
    Tab,
    check_one_line,
    finish,
    run,
    start,
    wait_until,
)

TRIES = 5  # until a broker dies in a run that takes a fifth of a second
MANY = 10_000  # messages


@every_broker
def test_a_broker_that_dies_is_one_line(name, new_broker, record):
    """Nobody is left waiting for a broker that is gone."""
    broker = new_broker(name)
    environment = broker.environment | {"PYTHONUNBUFFERED": "1"}
    running = []
    for each in scripts_of(name):
        if each.goes_on:
            # One after the other: all at once would not reach the broker in time.
            running.append(start(each.path, environment=environment))
            ready = running[-1].stdout.readline()
            assert "Press Ctrl-C to stop." in ready, finish(running[-1])
    broker.instance.kill()
    killed = time.monotonic()
    for process in running:
        ended = finish(process, max(1, killed + PATIENCE - time.monotonic()))
        check_one_line(
            ended,
            says=(f"python -m lab status {name}", f":{broker.client_port}"),
            secret=broker.row.secret,
        )

    record(
        "faults",
        "dies",
        name,
        "every script that waits: status 1, and one line: where, what, what to try",
        f"{len(running)} scripts, the last after {time.monotonic() - killed:.1f} s",
    )


def payments_stored(broker) -> int:
    with broker.row.count_payments(broker.settings) as count:
        return count()


@pytest.mark.timeout(400)
@every_broker
def test_what_is_stored_survives_the_end_of_the_broker(name, new_broker):
    """Tasks, and payments whose producers have said that they are confirmed."""
    broker = new_broker(name)
    environment = broker.environment
    asynchronous = path_of(name, "confirms_async_producer")
    expected = 0
    for end in (broker.instance.stop, broker.instance.kill):
        sent = run(path_of(name, "producer"), environment=environment)
        assert sent.status == 0, sent
        for command in (
            [path_of(name, "confirms_producer")],
            [asynchronous, "100"],
            [asynchronous],
        ):
            ended = finish(start(*command, environment=environment), 60)
            assert ended.status == 0, ended
            assert ended.out[0].startswith(f"Confirmed {broker.row.payments} payments")
            expected += broker.row.payments
        end()
        broker.instance.start(Report())
        assert payments_stored(broker) == expected
        missing = {line.replace("Sent", "Finished") for line in sent.out}
        with Tab(path_of(name, "consumer"), environment=environment) as worker:
            while missing:
                line = worker.line()
                assert line
                missing.discard(line)
            worker.press_ctrl_c()
            worker.end()


def forget_payments(broker) -> None:
    """Delete what is stored of them."""
    kind = broker.row.broker
    kind.delete(broker.settings, kind.creates["confirms"])
    kind.run_setup(broker.settings)


def ten_times(path: Path, payments: int, folder: Path) -> tuple[Path, int]:
    """A copy of the script that sends ten times as many payments, and their number."""
    more = folder / f"{payments * 10}_payments.py"
    text, found = re.subn(
        rf"^(.*\bCOUNT = .*)\b{payments}$",
        rf"\g<1>{payments * 10}",
        path.read_text(),
        flags=re.M,
    )
    assert found == 1
    more.write_text(text)
    return more, payments * 10


@pytest.mark.timeout(400)
@every_broker
def test_a_producer_knows_what_is_confirmed_when_the_broker_dies(
    name, new_broker, tmp_path
):
    """What was confirmed is there, and little else; its window says how little."""
    broker = new_broker(name)
    for window in ("1", "100", ""):
        path, payments = path_of(name, "confirms_async_producer"), ROWS[name].payments
        if not window:  # over in no time
            path, payments = ten_times(path, payments, tmp_path)
        for _ in range(TRIES):
            ended, _ = broker.die_at_work(path, window)
            broker.instance.start(Report())
            if ended.status:
                break
            # It was done before the broker died.
            forget_payments(broker)
            # Pulsar's client crashes with 200,000 on their way: docs/troubleshooting.md
            if window:
                path, payments = ten_times(path, payments, tmp_path)
        assert ended.status == 1, window
        (line,) = ended.error
        assert f"python -m lab status {name}" in line
        (count,) = ended.out
        found = count.removesuffix(f" of {payments} payments are not confirmed")
        unconfirmed = int(found)
        assert 0 < unconfirmed <= payments, window
        confirmed = payments - unconfirmed
        on_their_way = int(window or payments)
        stored = payments_stored(broker)
        assert confirmed <= stored <= confirmed + on_their_way, window
        forget_payments(broker)

    # One that waits for each confirm has nothing to count.
    ended, _ = broker.die_at_work(path_of(name, "confirms_producer"))
    assert (ended.status, ended.out) == (1, [])
    (line,) = ended.error
    assert f"python -m lab status {name}" in line


def make_tasks_queue(broker) -> None:
    """By the producer; for that, a broker may be too slow when it has just started."""
    path = path_of(broker.row.broker.name, "producer")
    wait_until(lambda: run(path, environment=broker.environment).status == 0)
    broker.row.make_lasting(broker.settings)


@pytest.mark.timeout(400)
@every_broker
def test_of_10000_messages_none_is_lost(name, new_broker, record):
    """Whatever has not been confirmed when the broker dies is sent once more."""
    broker = new_broker(name)
    client = broker.row.client
    make_tasks_queue(broker)
    payments = [f"payment {number}".encode() for number in range(MANY)]
    processes = broker.instance.processes()
    confirmed: set[bytes] = set()
    errors = []

    def note(payment: bytes) -> None:
        confirmed.add(payment)
        if len(confirmed) == MANY // 3:
            broker.instance.kill(processes)

    while missing := [each for each in payments if each not in confirmed]:
        try:
            client.send(broker.settings, missing, note)
        except Exception as error:  # its client's own
            errors.append(type(error).__name__)
            assert len(errors) == 1, errors
            broker.instance.kill()
            broker.instance.start(Report())
    assert errors
    stored = [task for task in client.read_all(broker.settings) if task in confirmed]
    assert set(stored) == set(payments)
    twice = f"{len(stored) - MANY} are there twice"
    record("faults", "killed", name, f"of {MANY:,} messages none is lost", twice)
    record("behaviours", "duplicates", name, "none is lost", twice)
    record(
        "behaviours",
        "mid-send",
        name,
        "gets an error for what is not confirmed",
        errors[0],
    )


@pytest.mark.timeout(300)
@every_broker
def test_a_consumer_of_a_broker_that_is_started_again(name, new_broker, record):
    broker = new_broker(name)
    client = broker.row.client
    make_tasks_queue(broker)
    last = b"after the restart"
    with client.consuming(broker.settings) as take:
        while take(5):
            pass
        broker.instance.kill()
        broker.instance.start(Report())
        client.send(broker.settings, [last], lambda body: None)
        taken, errors = None, []
        deadline = time.monotonic() + PATIENCE
        # What was taken shortly before the death may come again.
        while taken != last and time.monotonic() < deadline:
            try:
                taken = take(20)
            except Exception as error:  # its client's own
                errors.append(type(error).__name__)
                time.sleep(1)
    if taken != last:
        says = "has to connect again"
        with client.consuming(broker.settings) as take:
            while taken != last:
                taken = take(60)
                assert taken
    elif errors:
        says = "goes on after an error: its client connects again by itself"
    else:
        says = "goes on: its client connects again by itself"
    record("behaviours", "restart", name, says, ", ".join(dict.fromkeys(errors)))
