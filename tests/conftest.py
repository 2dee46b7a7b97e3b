"""Brokers for the tests: their own, on free ports, with their own data.

``pytest --live`` runs the walkthroughs on the brokers that the settings name instead,
and starts, stops and kills none.

TEST_RABBITMQ_VERSION=4.3.6 in the environment makes every test fail on another RabbitMQ
that these tests start.
"""

import gc
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import pytest
from dotenv import load_dotenv

from lab.broker import ROOT, Broker, LabError, Report
from lab.brokers import BROKERS
from lab.local import Instance, free_ports
from tests import evidence
from tests.evidence import Recorder, Seen
from tests.parameters import path_of
from tests.rows import ROWS
from tests.rows.row import Row
from tests.support import PATIENCE, Tab, end_started, run, wait_until


class Live(NamedTuple):
    """A broker that answers."""

    row: Row
    settings: Mapping[str, str]
    environment: Mapping[str, str]  # for scripts and for the lab
    instance: Instance | None  # None where it is not the tests' own

    @property
    def client_port(self) -> str:
        return self.settings[self.row.broker.ports[0].setting]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--live",
        action="store_true",
        help="run the walkthroughs on brokers that are already up",
    )
    parser.addoption(
        "--record",
        action="store_true",
        help="write what the tests see into docs/evidence.json",
    )
    parser.addoption(
        "--idle",
        type=int,
        default=60,
        metavar="SECONDS",
        help="how long the scripts of the tests of slow hands hear nothing",
    )


def pytest_report_header() -> list[str]:
    return [
        f"{broker.title}: {version}, checked at each start"
        for broker in BROKERS.values()
        if (version := wanted_version(broker.name))
    ]


def wanted_version(name: str) -> str | None:
    return os.environ.get(f"TEST_{name.upper()}_VERSION")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--record") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Recorder())
    # A shell's background job ignores Ctrl-C, and so would the scripts that it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # A terminal is opened with a fork. A Pulsar consumer that is collected in the child
    # waits without end for its threads: they are in the parent.
    os.register_at_fork(before=gc.disable, after_in_parent=gc.enable)


def pytest_collection_modifyitems(config: pytest.Config, items: list) -> None:
    if config.getoption("--live"):
        others = [item for item in items if not item.get_closest_marker("live")]
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item not in others]
    for item in items:
        if "record" in item.fixturenames:
            item.add_marker("evidence")
    # One broker's tests after the other's: each process has one at a time to run. Of
    # these the longest first: at the end, they would keep a single process busy.
    names = list(BROKERS)
    items.sort(
        key=lambda item: (broker_index(item.nodeid, names), -allowed_seconds(item))
    )


def broker_index(test: str, names: list[str]) -> int:
    """The place of the broker that a test names; -1 where it names none."""
    return next((i for i, name in enumerate(names) if name in test), -1)


def allowed_seconds(item: pytest.Item) -> float:
    """How long a test may take; 0 where it has no limit of its own."""
    marker = item.get_closest_marker("timeout")
    return marker.args[0] if marker else 0


@pytest.fixture(autouse=True)
def no_script_outlives_its_test() -> Iterator[None]:
    yield
    end_started()


@pytest.fixture
def record(request, record_property) -> Callable[..., None]:
    """A function that notes what the test has seen, or compares it with the notes."""

    def note(table: str, row: str, broker: str, says: str, measured: str = "") -> None:
        assert row in evidence.ROWS[table]
        seen = Seen(
            table, row, broker, request.node.nodeid.partition("[")[0], says, measured
        )
        record_property(evidence.PROPERTY, tuple(seen))
        if not request.config.getoption("--record"):
            evidence.check(seen)

    return note


@pytest.fixture(scope="session")
def prepare(tmp_path_factory) -> Iterator[Callable[[str], Live]]:
    """A function that makes room for a broker; at the end it stops what runs there."""
    instances: list[Instance] = []

    def make(name: str) -> Live:
        broker = BROKERS[name]
        # A blank, because users have folders with blanks.
        home = tmp_path_factory.mktemp("lab home")
        ports = own_ports(broker)
        environment = {
            **ports,
            **broker.addresses_on(ports),
            "LAB_HOME": str(home),
            # Of this project there are no containers: `lab down` in a test must not
            # find those of the user's own.
            "COMPOSE_PROJECT_NAME": "message-broker-lab-tests",
        }
        instance = Instance(broker, home / name, environment)
        instances.append(instance)
        settings = instance.settings
        return Live(ROWS[name], settings, {**environment, **settings}, instance)

    yield make
    for instance in instances:
        instance.kill()  # their data is thrown away: no need to wait for a clean end


@pytest.fixture(scope="session")
def start_broker(prepare) -> Callable[[str], Live]:
    """A function that starts a broker of a kind."""

    def start(name: str) -> Live:
        broker = prepare(name)
        try:
            version = broker.instance.start(Report())
        except LabError as error:
            pytest.fail(f"{error}\n{broker.instance.log.read_text()}")
        assert version == (wanted_version(name) or version)
        broker.row.broker.run_setup(broker.settings)
        return broker

    return start


@pytest.fixture
def new_broker(start_broker) -> Iterator[Callable[[str], Live]]:
    """The same, for a broker that only this test has."""
    started: list[Live] = []

    def start(name: str) -> Live:
        started.append(start_broker(name))
        return started[-1]

    yield start
    for broker in started:
        broker.instance.kill()


def own_ports(broker: Broker) -> dict[str, str]:
    numbers = map(str, free_ports(len(broker.ports)))
    names = (port.setting for port in broker.ports)
    return dict(zip(names, numbers, strict=True))


@pytest.fixture(scope="session")
def shared(request, start_broker) -> Callable[[str], Live]:
    """A function that returns the broker of a kind which the tests share.

    It ends the one of another kind: idle, it would still take processor time.
    """
    known: dict[str, Live] = {}

    def get(name: str) -> Live:
        if name not in known:
            for other in known.values():
                if other.instance:
                    other.instance.kill()
            known.clear()
            if request.config.getoption("--live"):
                load_dotenv(ROOT / ".env")
                settings = BROKERS[name].settings(os.environ)
                known[name] = Live(ROWS[name], settings, settings, None)
            else:
                known[name] = start_broker(name)
                warm_up(known[name])
        return known[name]

    return get


def warm_up(broker: Live) -> None:
    """Use it once: the first time takes longest, and scripts give up after seconds."""
    name, environment = broker.row.broker.name, broker.environment

    def answers() -> bool:
        with Tab(path_of(name, "rpc_server"), environment=environment) as server:
            server.line()
            ended = run(path_of(name, "rpc_client"), environment=environment)
            server.press_ctrl_c()
            server.end()
        return ended.status == 0

    wait_until(answers, 2 * PATIENCE)


@pytest.fixture
def live(shared) -> Callable[[str], Live]:
    """The same, with nothing left on the broker by the test before.

    With ``settled``, nothing that one of its consumers had taken comes back either;
    that may take a while.
    """

    def get(name: str, *, settled: bool = False) -> Live:
        broker = shared(name)
        kind = broker.row.broker
        remove = kind.clear if settled else kind.delete
        remove(broker.settings, kind.all_things())
        kind.run_setup(broker.settings)
        return broker

    return get
