"""A broker that does not answer for a while: stopped with SIGSTOP."""

import signal
import subprocess
import time
from contextlib import suppress

import pytest

from tests.parameters import endings, every_broker, path_of
from tests.support import (
    PROMISED_SECONDS,
    SCRIPTS,
    Tab,
    finish,
    run,
    start,
    wait_until,
)

# After so long a client has noticed the silence, with the rows' short heartbeats.
NOTICED_SECONDS = 10


@pytest.mark.alone
@pytest.mark.parametrize(("each", "ending"), endings(SCRIPTS))
def test_its_end_while_the_broker_does_not_answer(
    each, ending, current, frozen, record
):
    """A frozen broker holds every script, also those that end by themselves."""
    broker = current(each.broker)
    frozen(broker.instance)
    with Tab(each.path, environment=broker.environment) as tab:
        wait_until(lambda: broker.is_connected(tab.child.pid))
        asked = time.monotonic()
        if ending == signal.SIGINT:
            tab.press_ctrl_c()
            assert tab.end() == (0, None, [])
        else:
            tab.child.kill(ending)
            assert tab.end() == (None, ending, [])
    assert time.monotonic() - asked < PROMISED_SECONDS
    record("faults", "frozen", each.broker, "it ends within ten seconds")


@pytest.mark.timeout(300)
@every_broker
def test_a_pause_longer_than_the_heartbeat_loses_no_task(name, live, frozen, record):
    """A worker with a task is at work when the broker stops answering."""
    broker = live(name, settled=True)
    environment = broker.environment | broker.row.heartbeat(broker.settings)
    unbuffered = {"PYTHONUNBUFFERED": "1"}
    worker = start(path_of(name, "consumer"), environment=environment | unbuffered)
    assert "Press Ctrl-C to stop." in worker.stdout.readline()
    tasks = run(path_of(name, "producer"), environment=broker.environment).out
    begun = worker.stdout.readline().strip()
    assert begun.startswith("Encoding ")
    go_on = frozen(broker.instance)
    stopped = time.monotonic()
    with suppress(subprocess.TimeoutExpired):
        worker.wait(2 * NOTICED_SECONDS)
    seconds = time.monotonic() - stopped
    go_on()
    finished: set[str] = set()
    ended = None
    if worker.returncode is not None:
        ended = finish(worker)
        (line,) = ended.error
        assert ended.status == 1
        assert f"python -m lab status {name}" in line
        finished.update(ended.out)
        # It may have gone on to the next one before the broker stood still.
        begun = [begun, *(line for line in ended.out if "Encoding" in line)][-1]
        worker = start(path_of(name, "consumer"), environment=environment | unbuffered)
    expected = {task.replace("Sent", "Finished") for task in tasks}
    interrupted = begun.replace("Encoding", "Finished")
    if ended:
        # The broker may have read its acknowledgement when it went on: then that task
        # is done, and nobody has said so.
        expected.remove(interrupted)
    while not expected <= finished:
        line = worker.stdout.readline().rstrip()
        assert line, finish(worker)
        finished.add(line)
    if interrupted not in finished:
        worker.kill()
        task, client = begun.removeprefix("Encoding ").encode(), broker.row.client
        with client.consuming(broker.settings) as take:
            assert take(15) == task or task in client.read_all(broker.settings)
    record(
        "faults",
        "paused",
        name,
        "a worker ends with one line, and the next one does the rest; nothing is lost"
        if ended
        else "a worker goes on afterwards; nothing is lost",
        f"it ended after {seconds:.0f} s" if ended else f"{seconds:.0f} s",
    )
