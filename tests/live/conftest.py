"""One broker of a kind for all processes of a run: each pattern cleans up after itself.

Who kills, pauses or configures a broker needs one of its own: ``tests/slow``.
"""

import fcntl
import json
import os
import subprocess
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from dotenv import load_dotenv

from lab.broker import ROOT, LabError, Thing
from lab.brokers import BROKERS
from tests.live_broker import Live, at_home, note_log, of_its_own, told
from tests.parameters import lane_of
from tests.rows import ROWS
from tests.support import finish, start

START_SECONDS = 300  # of five brokers at the same time, with their downloads


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep out the other processes of this run."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def start_for_all(broker: Live) -> None:
    """Start it as a user does: it outlives this process, and the run ends it.

    Raises LabError, AssertionError or TimeoutExpired where it cannot be used then.
    """
    kind = broker.row.broker
    command = "-m", "lab", "up", kind.name, "--local"
    ended = finish(start(*command, environment=broker.environment), START_SECONDS)
    if ended.status:
        raise LabError("\n".join(ended.error))
    broker.check_version(kind.probe(broker.settings))
    kind.run_setup(broker.settings)
    broker.warm_up()


def start_once(name: str, home: Path) -> Live:
    """The broker that lives there. Who comes first starts it, the others wait.

    One that does not come up fails each of its tests, and is tried once.
    """
    home.mkdir(exist_ok=True)
    addresses, failure = home / "addresses.json", home / "failure"
    with locked(home / "starting"):
        if failure.exists():
            pytest.fail(failure.read_text(), pytrace=False)
        if addresses.exists():
            return at_home(BROKERS[name], home, json.loads(addresses.read_text()))
        broker = of_its_own(BROKERS[name], home)
        try:
            start_for_all(broker)
        except (LabError, AssertionError, subprocess.TimeoutExpired) as error:
            text = told(error, broker)
            failure.write_text(text)
            pytest.fail(text, pytrace=False)
        addresses.write_text(json.dumps(dict(broker.settings)))
    return broker


@pytest.fixture(scope="session")
def brokers(run_folder, request) -> Callable[[str, str], Live]:
    """A function that returns the broker of a kind that has the tests of a pattern."""
    known: dict[tuple[str, int | None], Live] = {}

    def get(name: str, pattern: str) -> Live:
        if request.config.getoption("--live"):
            load_dotenv(ROOT / ".env")
            settings = BROKERS[name].settings(os.environ)
            return Live(ROWS[name], settings, settings, None)
        key = name, lane_of(name, pattern)
        if key not in known:
            suffix = "" if key[1] is None else f" {key[1]}"
            known[key] = start_once(name, run_folder / f"shared {name}{suffix}")
        return known[key]

    return get


@pytest.fixture(scope="session")
def used() -> dict[str, set[Thing]]:
    """What this process's tests have perhaps left, by broker."""
    return defaultdict(set)


@pytest.fixture
def shared(brokers, used, request) -> Callable[..., Live]:
    """A function that returns the shared broker, without what the pattern has left.

    Not for those who only ask something of it: they leave ``pattern`` out.
    """

    def get(name: str, pattern: str = "") -> Live:
        broker = brokers(name, pattern)
        kind = broker.row.broker
        things = set(kind.creates.get(pattern, ()))
        left = things if broker.instance is None else things & used[name]
        if left:
            kind.clear(broker.settings, left)
            kind.run_setup(broker.settings)
        used[name] |= things
        if broker.instance:
            note_log(request.node, broker.instance)
        return broker

    return get
