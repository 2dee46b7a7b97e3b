"""Walkthroughs that are repeated, interrupted and shortened."""

import copy
import os
import signal
import sys

import pexpect
import psutil
import pytest

from lab.replay import Difference, Replay
from lab.walkthrough import Walkthrough
from tests.parameters import WALKTHROUGHS, every_broker, every_walkthrough
from tests.support import lab, wait_until

# Of a dumb terminal the width counts only together with the height.
NARROW = {"COLUMNS": "20", "LINES": "25", "TERM": "dumb"}


def broker_of(walkthrough: Walkthrough) -> str:
    return walkthrough.folder.name


@every_walkthrough
def test_twice_in_a_row_and_after_an_interrupted_run(walkthrough, live):
    broker = live(broker_of(walkthrough))
    interrupt(walkthrough, broker)
    # It deletes what the interrupted one has left; what it leaves itself stays.
    again = lab("run", walkthrough.name, environment=broker.environment)
    assert again.status == 0, again
    Replay(walkthrough, broker.environment).run()


@every_broker
def test_run_is_plain_without_a_terminal(name, live):
    """No colours, and each line behind the name of its tab."""
    walkthrough = WALKTHROUGHS[f"{name}/work-queue"]
    ended = lab("run", walkthrough.name, environment=live(name).environment)
    assert ended.status == 0, ended
    assert ended.out[-1] == f"Each tab printed what {walkthrough.readme} shows."
    assert "\x1b" not in "".join(ended.out)
    for tab in walkthrough.tabs:
        printed = [
            line.split("| ", 1)[1]
            for line in ended.out
            if line.startswith(f"{tab.name} ") and "| $" not in line
        ]
        assert set(printed) - {"^C"} or not tab.lines()


def spawn_run(walkthrough: Walkthrough, broker) -> pexpect.spawn:
    """``lab run`` on a terminal that is too narrow for tabs side by side."""
    return pexpect.spawn(
        sys.executable,
        ["-m", "lab", "run", walkthrough.name],
        env={**os.environ, **broker.environment, **NARROW},
        encoding="utf-8",
        timeout=60,  # a producer that waits for each confirm says nothing for long
    )


def interrupt(walkthrough: Walkthrough, broker) -> None:
    """Begin a run and stop it with Ctrl-C while all of its scripts are at work."""
    run = spawn_run(walkthrough, broker)
    # That is when the last tab's script says something.
    run.expect(rf"{walkthrough.tabs[-1].name} +\| [^$]")
    scripts = [
        child
        for child in psutil.Process(run.pid).children(recursive=True)
        if child.is_running()
    ]
    run.sendintr()
    run.expect(pexpect.EOF)
    run.close()
    assert run.exitstatus == 128 + signal.SIGINT
    assert "Traceback" not in run.before
    wait_until(lambda: not any(child.is_running() for child in scripts))


def test_ctrl_c_while_a_tab_opens(live):
    """No Ctrl-C is lost, not even in the moment in which a tab is opened."""
    walkthrough = next(iter(WALKTHROUGHS.values()))
    broker = live(broker_of(walkthrough))
    for tab in [tab.name for tab in walkthrough.tabs] * 5:
        run = spawn_run(walkthrough, broker)
        run.expect(rf"{tab} +\| ")
        run.sendintr()
        run.expect(pexpect.EOF)
        run.close()
        assert run.exitstatus == 128 + signal.SIGINT, run.before
        assert "Traceback" not in run.before


@every_broker
def test_a_deleted_line_makes_the_replay_fail(name, live):
    """One that the longest command prints; the last may come too late to be missed.

    That every line of every walkthrough counts as much is shown without a broker, in
    ``tests/static``.
    """
    broker = live(name)
    shortened = copy.deepcopy(WALKTHROUGHS[f"{name}/work-queue"])
    commands = [command for tab in shortened.tabs for command in tab.commands]
    lines = max((command.lines for command in commands), key=len)
    del lines[max(0, len(lines) - 2)]
    with pytest.raises(Difference):
        Replay(shortened, broker.environment).run()
