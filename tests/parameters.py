"""What a test is repeated for: brokers, scripts, entries of the rows.

Tests that share a broker belong to a group, by their pattern: those of a group run in
one process, one after the other.
"""

import signal
from collections.abc import Iterable
from pathlib import Path

import pytest

from lab.brokers import BROKERS
from lab.walkthrough import walkthroughs
from tests.rows import ROWS
from tests.support import SCRIPTS, Script, script

WALKTHROUGHS = walkthroughs(BROKERS)

every_broker = pytest.mark.parametrize("name", BROKERS)
every_script = pytest.mark.parametrize(
    "each", [pytest.param(each, id=each.name) for each in SCRIPTS]
)
WAITING = [each for each in SCRIPTS if each.goes_on]


def endings(scripts: Iterable[Script]) -> list:
    """Ctrl-C for each of the scripts, and SIGTERM for a worker of each broker.

    It has no handler for that, as nearly all have none: those who import ``signal``
    are tried, too.
    """
    workers = {f"{name}_consumer.py" for name in BROKERS}
    return [
        pytest.param(each, ending, id=f"{each.name}-{ending.name}")
        for ending in (signal.SIGINT, signal.SIGTERM)
        for each in scripts
        if ending == signal.SIGINT
        or each.name in workers
        or "import signal" in each.path.read_text()
    ]


def every(attribute: str, label, where=lambda entry: True) -> dict:
    """Parameters: each broker's entries of one attribute of its row."""
    return {
        "argvalues": [
            pytest.param(
                row.broker.name,
                entry,
                id=f"{row.broker.name}-{label(entry)}",
                marks=marks_of(entry),
            )
            for row in ROWS.values()
            for entry in getattr(row, attribute)
            if where(entry)
        ]
    }


def marks_of(entry) -> list[pytest.MarkDecorator]:
    marks = [group_of_script(entry)] if hasattr(entry, "script") else []
    if getattr(entry, "is_hasty", False):
        marks.append(pytest.mark.alone)
    return marks


def scripts_of(name: str) -> list[Script]:
    return [each for each in SCRIPTS if each.broker == name]


def path_of(name: str, rest: str) -> Path:
    return script(f"{name}_{rest}.py").path


def pattern_of(name: str) -> str:
    """The pattern of a script, as in the broker's ``creates``."""
    each = script(name)
    rest = each.path.stem.removeprefix(f"{each.broker}_")
    slug = rest.rpartition("_")[0].replace("_", "-") or "work-queue"
    return BROKERS[each.broker].pattern(slug)


def joined(name: str, pattern: str) -> set[str]:
    """The patterns that have things in common with this one, itself included."""
    creates = BROKERS[name].creates
    found = {pattern}
    while (
        more := {
            other
            for other, things in creates.items()
            if any(set(things) & set(creates.get(each, ())) for each in found)
        }
        - found
    ):
        found |= more
    return found


def lane_of(name: str, pattern: str) -> int | None:
    """Which of the row's lanes the pattern belongs to; None where there are none."""
    lanes = ROWS[name].lanes
    if lanes is None:
        return None
    first = min(joined(name, pattern))
    return sorted({first, *BROKERS[name].creates}).index(first) % lanes


def group(name: str, pattern: str) -> pytest.MarkDecorator:
    """The mark of a test of this pattern that shares a broker with others."""
    lane = lane_of(name, pattern)
    if lane is None:
        lane = min(joined(name, pattern))
    return pytest.mark.xdist_group(f"{name} {lane}")


def group_of_script(entry) -> pytest.MarkDecorator:
    """The same for an entry of a row, by its script."""
    return group(script(entry.script).broker, pattern_of(entry.script))


def every_broker_in(pattern: str) -> pytest.MarkDecorator:
    """Each broker, for a test of this pattern that shares one with others."""
    return pytest.mark.parametrize(
        "name", [pytest.param(name, marks=group(name, pattern)) for name in BROKERS]
    )


every_walkthrough = pytest.mark.parametrize(
    "walkthrough",
    [
        pytest.param(
            walkthrough,
            id=name,
            marks=group(
                walkthrough.folder.name,
                BROKERS[walkthrough.folder.name].pattern(name.partition("/")[2]),
            ),
        )
        for name, walkthrough in WALKTHROUGHS.items()
    ],
)
