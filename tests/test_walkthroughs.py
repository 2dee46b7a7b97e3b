"""Every walkthrough of every README, on a live broker."""

import copy
import os
import re
import signal
import sys

import pexpect
import psutil
import pytest

from lab.brokers import BROKERS
from lab.replay import Difference, Replay, agrees, complete
from lab.walkthrough import Walkthrough, walkthroughs
from tests import evidence
from tests.support import lab, wait_until

WALKTHROUGHS = walkthroughs(BROKERS)
# Of a dumb terminal the width counts only together with the height.
NARROW = {"COLUMNS": "20", "LINES": "25", "TERM": "dumb"}
every_walkthrough = pytest.mark.parametrize(
    "walkthrough", WALKTHROUGHS.values(), ids=WALKTHROUGHS
)


def broker_of(walkthrough: Walkthrough) -> str:
    return walkthrough.folder.name


@pytest.mark.live
@every_walkthrough
def test_twice_in_a_row_and_after_an_interrupted_run(walkthrough, live, record):
    """On somebody's own brokers (``pytest --live``) nothing is interrupted."""
    broker = live(broker_of(walkthrough))
    if broker.instance:
        interrupt(walkthrough, broker)
        again = lab("run", walkthrough.name, environment=broker.environment)
        assert again.status == 0, again
        assert again.out[-1] == f"Each tab printed what {walkthrough.readme} shows."
        check_is_plain(walkthrough, again.out)
    else:
        live(broker_of(walkthrough), settled=True)
        Replay(walkthrough, broker.environment).run()
    Replay(walkthrough, broker.environment).run()
    pattern = walkthrough.name.partition("/")[2]
    if pattern in evidence.ROWS["patterns"]:
        record("patterns", pattern, broker_of(walkthrough), who_does(walkthrough))
    lines = [line for tab in walkthrough.tabs for line in tab.lines()]
    for row, says in SHOWN.get(pattern, {}).items():
        record("behaviours", row, broker_of(walkthrough), says(lines))


def check_is_plain(walkthrough: Walkthrough, lines: list[str]) -> None:
    """Without a terminal: no colours, and each line behind the name of its tab."""
    assert "\x1b" not in "".join(lines)
    for tab in walkthrough.tabs:
        printed = [
            line.split("| ", 1)[1]
            for line in lines
            if line.startswith(f"{tab.name} ") and "| $" not in line
        ]
        assert set(printed) - {"^C"} or not tab.lines()


def of_an_unknown_name(lines: list[str]) -> str:
    """What the producer says, in its own words."""
    (line,) = (line for line in lines if line.endswith(": payment to nobody"))
    said = line.removesuffix(": payment to nobody")
    return said[0].lower() + said[1:]


def of_expiry(lines: list[str]) -> str:
    if "Read request 3: expired in live_requests" in lines:
        return "is a dead letter"
    if "Gone from live_requests, no dead letter: 1 in all" in lines:
        return "is gone, no dead letter"
    assert not any("expired" in line for line in lines)
    return "not tried: none in its walkthrough has a time to live"


def of_poison(lines: list[str]) -> str:
    failed = [
        line for line in lines if re.match(r"(Failed|Rejected) broken track 2", line)
    ]
    attempts = [line for line in failed if "attempt" in line] or failed
    assert any(line.startswith("Read broken track 2: ") for line in lines)
    times = "once" if len(attempts) == 1 else f"{len(attempts)} times"
    return f"is a dead letter when it has failed {times}"


# Pattern -> row of docs/comparison.md -> what the lines of its walkthrough say of it.
SHOWN = {
    "confirms": {"unknown": of_an_unknown_name},
    "dead-letter": {"expiry": of_expiry, "poison": of_poison},
}


def who_does(walkthrough: Walkthrough) -> str:
    """Native where the first table of its README names the broker, else emulated."""
    name, _, pattern = walkthrough.name.partition("/")
    readme = (walkthrough.folder / "README.md").read_text()
    who = re.search(rf"^\| \[.+\]\(#{pattern}\) \| .* \| (.+) \|$", readme, re.M)[1]
    broker, colon, how = who.partition(": ")
    if colon and broker == BROKERS[name].title:
        return f"native: {how}"
    return f"emulated: {who}"


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


@every_walkthrough
def test_a_deleted_line_makes_the_replay_fail(walkthrough, live):
    """One that the longest command prints; the last may come too late to be missed.

    That every other line counts as much is shown without a broker, below.
    """
    broker = live(broker_of(walkthrough))
    shortened = copy.deepcopy(walkthrough)
    commands = [command for tab in shortened.tabs for command in tab.commands]
    lines = max((command.lines for command in commands), key=len)
    del lines[max(0, len(lines) - 2)]
    with pytest.raises(Difference):
        Replay(shortened, broker.environment).run()


@every_walkthrough
def test_every_line_counts(walkthrough):
    """Compared with the README's own lines, each single line missing is noticed."""
    for group in walkthrough.groups:
        expected = [tab.lines() for tab in walkthrough.tabs if tab.name in group.tabs]
        tabs = [[line.replace("~", "") for line in lines] for lines in expected]
        assert agrees(group, expected, tabs)
        assert complete(group, expected, tabs)
        for number, lines in enumerate(tabs):
            for line in range(len(lines)):
                shorter = copy.deepcopy(expected)
                del shorter[number][line]
                assert not agrees(group, shorter, tabs), (group, lines[line])
                shorter = copy.deepcopy(tabs)
                del shorter[number][line]
                assert not (
                    agrees(group, expected, shorter)
                    and complete(group, expected, shorter)
                )


@every_walkthrough
def test_has_its_parts(walkthrough):
    """A concept of two sentences or so, an Observation, something to try next."""
    assert walkthrough.text[0].count(". ") <= 2, "the concept is two sentences"
    assert walkthrough.observation
    assert any(text.startswith("**Try next**") for text in walkthrough.text)
    for group in walkthrough.groups:
        for tab in group.tabs if group.way in ("share", "swap", "any") else ():
            assert tab in {each.name for each in walkthrough.tabs}
