"""In which order the tests of a run begin."""

from collections import Counter

import pytest

from lab.brokers import BROKERS
from tests.rows import ROWS

GROUP = "xdist_group"  # the name of the marker
# Those with lanes first: they take longest.
NAMES = sorted(BROKERS, key=lambda name: -(ROWS[name].lanes or 0))


def put_in_order(items: list[pytest.Item], *, in_groups: bool) -> None:
    """What shares brokers, then what has brokers of its own, then what needs none.

    ``in_groups``: several processes run them, each one group after the other.

    Raises pytest.UsageError where a test that shares one belongs to no group: it could
    meet another one of its pattern there.
    """
    for item in items:
        if "shared" in item.fixturenames and not group_of(item):
            raise pytest.UsageError(f"{item.nodeid} has no group: tests/parameters.py")
    sizes = Counter(map(group_of, items))
    ranks = {
        group: rank
        for name in NAMES
        for rank, group in enumerate(
            sorted(
                (group for group in sizes if group.startswith(f"{name} ")),
                key=lambda group: -sizes[group],
            )
        )
    }

    def place(item: pytest.Item) -> tuple:
        broker = broker_index(item.nodeid)
        match item.path.parent.name:
            case "live":  # the brokers in turn, of each the largest group first
                return 0, ranks.get(group_of(item), len(ranks)), broker
            case "slow":  # broker by broker, those that start one of their own first
                if broker < 0:
                    return 2, -allowed_seconds(item)
                return 1, broker, "current" in item.fixturenames, -allowed_seconds(item)
            case _:
                return (3,)

    items.sort(key=place)
    slow = [item for item in items if item.path.parent.name == "slow"]
    if slow and in_groups:
        begin = items.index(slow[0])
        items[begin : begin + len(slow)] = shared_out(slow)


def shared_out(tests: list[pytest.Item]) -> list[pytest.Item]:
    """Those of ``tests/slow`` in lanes: for each, one broker runs at a time.

    Lanes take about ten minutes each. Those of a kind come one after the other, with
    others in between. Every second one ends with what the others begin with: brokers of
    their own, which are started and killed, and take most of the processors.
    """
    lanes = []
    for index, name in enumerate(NAMES):
        own = [test for test in tests if broker_index(test.nodeid) == index]
        count = ROWS[name].slow_lanes
        lanes += [
            ((number + 0.5) / count, f"{name} {number}", own[number::count])
            for number in range(count)
        ]
    ordered = []
    for place, (_, lane, own) in enumerate(sorted(lanes, key=lambda lane: lane[0])):
        ordered += reversed(own) if place % 2 else own
        for test in own:
            test.own_markers = [m for m in test.own_markers if m.name != GROUP]
            test.add_marker(pytest.mark.xdist_group(lane))
    return ordered + [test for test in tests if broker_index(test.nodeid) < 0]


def group_of(item: pytest.Item) -> str:
    """Of the tests that run one after the other; empty where it has none."""
    marker = item.get_closest_marker(GROUP)
    return marker.args[0] if marker else ""


def broker_index(test: str) -> int:
    """The place of the broker that a test names; -1 where it names none."""
    return next((i for i, name in enumerate(NAMES) if name in test), -1)


def allowed_seconds(item: pytest.Item) -> float:
    """How long a test may take; 0 where it has no limit of its own."""
    marker = item.get_closest_marker("timeout")
    return marker.args[0] if marker else 0
