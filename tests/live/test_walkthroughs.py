"""Every walkthrough of every README, on a live broker."""

import re

import pytest

from lab.brokers import BROKERS
from lab.replay import Replay
from lab.walkthrough import Walkthrough
from tests import evidence
from tests.parameters import every_walkthrough


@pytest.mark.live
@every_walkthrough
def test_it_prints_what_its_readme_shows(walkthrough, shared, record):
    name, slug = walkthrough.name.split("/")
    broker = shared(name, BROKERS[name].pattern(slug))
    Replay(walkthrough, broker.environment).run()
    if slug in evidence.ROWS["patterns"]:
        record("patterns", slug, name, who_does(walkthrough))
    lines = [line for tab in walkthrough.tabs for line in tab.lines()]
    for row, says in SHOWN.get(slug, {}).items():
        record("behaviours", row, name, says(lines))


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
