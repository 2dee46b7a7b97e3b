"""Workers that are killed: ten of them, and players of the FIFO."""

import select

import pytest

from tests.parameters import every_broker, path_of
from tests.support import PATIENCE, Tab, in_order, run


@pytest.mark.timeout(400)
@every_broker
def test_ten_workers_killed_one_after_the_other(name, live, record):
    broker = live(name, settled=True)
    tasks = run(path_of(name, "producer"), environment=broker.environment).out
    begun = []
    for _ in range(10):
        with Tab(path_of(name, "consumer"), environment=broker.environment) as doomed:
            assert "Press Ctrl-C to stop." in doomed.line()
            begun.append(doomed.line())
            assert begun[-1].startswith("Encoding ")
            doomed.child.kill(9)
    missing = {task.replace("Sent", "Finished") for task in tasks}
    with Tab(path_of(name, "consumer"), environment=broker.environment) as worker:
        while missing:
            line = worker.line()
            assert line
            missing.discard(line)
            begun.append(line)
    most = max(begun.count(line) for line in begun if line.startswith("Encoding "))
    record(
        "faults",
        "worker",
        name,
        f"each of the {len(tasks)} tasks is done in the end",
        f"one of them was begun {most} times",
    )


def first_to_speak(one: Tab, other: Tab) -> tuple[Tab, Tab]:
    """The two tabs, the one that prints something first in front."""
    ends = [one.child.child_fd, other.child.child_fd]
    (spoken, *_), _, _ = select.select(ends, [], [], PATIENCE)
    return (one, other) if spoken == ends[0] else (other, one)


@every_broker
@pytest.mark.parametrize("victim", ["active", "standby"])
def test_fifo_order_survives_a_killed_player(victim, name, live):
    broker = live(name, settled=True)
    with in_order(path_of(name, "fifo_consumer"), broker.environment) as players:
        run(path_of(name, "fifo_producer"), environment=broker.environment)
        active, standby = players
        if not broker.row.active_player:
            active, standby = first_to_speak(*players)
        assert active.line() == "Playing long track 1"
        killed, survivor = (active, standby)[:: 1 if victim == "active" else -1]
        killed.child.kill(9)
        lines = [survivor.line() for _ in range(12 if victim == "active" else 11)]
    played = [line for line in lines if line.startswith("Played ")]
    assert played == ["Played long track 1"] + [
        f"Played track {n}" for n in range(2, 7)
    ]
