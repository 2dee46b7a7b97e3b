"""python -m lab, on a live broker."""

import os
import re
import sys

import pexpect
import pytest

from lab.brokers import BROKERS
from tests.lab_commands import IN_THE_GATE, check_up_and_down, env
from tests.parameters import WALKTHROUGHS, every_broker_in, group
from tests.support import Tab, lab, run, script, wait_until

FIRST = next(iter(WALKTHROUGHS.values()))
BROKER, SLUG = FIRST.name.split("/")
PATTERN = BROKERS[BROKER].pattern(SLUG)
of_the_first_walkthrough = group(BROKER, PATTERN)


def first_walkthrough(shared):
    """The first walkthrough of all, and its broker."""
    return FIRST, shared(BROKER, PATTERN)


def test_up_and_down(prepare):
    check_up_and_down(prepare(IN_THE_GATE))


@every_broker_in("work-queue")
def test_show_says_what_waits(name, shared):
    broker = shared(name, "work-queue")
    sent = run(script(f"{name}_producer.py").path, environment=env(broker)).out

    def is_shown() -> bool:
        shown = lab("show", name, environment=env(broker))
        assert shown.status == 0
        rows = [line.split() for line in shown.out]
        return any(row[1:3] == ["music_tasks", str(len(sent))] for row in rows)

    wait_until(is_shown)  # RabbitMQ counts every five seconds


@of_the_first_walkthrough
def test_run_makes_a_picture(shared, tmp_path):
    walkthrough, broker = first_walkthrough(shared)
    picture = tmp_path / "tabs.svg"
    ended = lab(
        "run", walkthrough.name, "--picture", str(picture), environment=env(broker)
    )
    assert ended.status == 0
    svg = picture.read_text()
    assert "url(" not in svg.replace("url(#", "")  # nothing to download
    for tab in walkthrough.tabs:
        assert tab.name in svg
    missing = tmp_path / "no-such-folder" / "tabs.svg"
    ended = lab(
        "run", walkthrough.name, "--picture", str(missing), environment=env(broker)
    )
    assert ended.status == 1
    assert ended.error[-1] == f"Cannot write {missing}: No such file or directory."


@pytest.mark.parametrize("width", [60, 160])
@of_the_first_walkthrough
def test_run_on_a_terminal(width, shared):
    """Side by side where there is room, else each line behind its tab's name."""
    walkthrough, broker = first_walkthrough(shared)
    child = pexpect.spawn(
        sys.executable,
        ["-m", "lab", "run", walkthrough.name],
        env={**os.environ, **env(broker), "COLUMNS": str(width), "TERM": "xterm"},
        encoding="utf-8",
        timeout=60,
        dimensions=(40, width),
    )
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0, child.before
    assert "\x1b[" in child.before  # coloured
    names = [tab.name for tab in walkthrough.tabs]
    side_by_side = re.search(" .*".join(names), child.before)
    assert bool(side_by_side) == (width == 160)
    assert f"Each tab printed what {walkthrough.readme} shows." in child.before


@of_the_first_walkthrough
def test_run_says_what_differs(shared, tmp_path):
    """On a broker that is not its own, the lab leaves what was left over."""
    walkthrough, broker = first_walkthrough(shared)
    name = broker.row.broker.name
    heard = broker.row.heard[0]
    with Tab(script(heard.script).path, environment=broker.environment) as tab:
        assert tab.line()
    heard.send(broker.settings, b"left over")
    stranger = env(broker, LAB_HOME=str(tmp_path))
    ended = lab("run", walkthrough.name, environment=stranger)
    assert ended.status == 1
    text = "\n".join(ended.error)
    assert "left over" in text
    assert f"python -m lab reset {name}" in text
    assert "Traceback" not in text
    # On its own broker the lab starts from a clean slate.
    assert lab("run", walkthrough.name, environment=env(broker)).status == 0
