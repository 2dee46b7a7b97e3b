"""Each process has a broker of a kind at a time, for all tests of that kind."""

import socket
from collections.abc import Callable, Iterator

import psutil
import pytest

from tests.live_broker import Live, note_log
from tests.support import each_of


@pytest.fixture(scope="session")
def known() -> dict[str, Live]:
    """This process's broker, by its name; one at most."""
    return {}


def end(brokers: dict[str, Live]) -> None:
    """Idle, they would still take processor time."""
    for broker in brokers.values():
        broker.instance.kill()
    brokers.clear()


@pytest.fixture(scope="session")
def current(start_broker, known) -> Callable[[str], Live]:
    """A function that returns this process's broker, and ends one of another kind."""

    def get(name: str) -> Live:
        if name not in known:
            end(known)
            known[name] = start_broker(name)
            known[name].warm_up()
        return known[name]

    return get


@pytest.fixture
def new_broker(start_broker, known, request) -> Iterator[Callable[[str], Live]]:
    """A function that starts a broker which only this test has."""
    if "current" not in request.fixturenames:
        end(known)
    started: list[Live] = []

    def start(name: str) -> Live:
        started.append(start_broker(name))
        note_log(request.node, started[-1].instance)
        return started[-1]

    yield start
    for broker in started:
        broker.instance.kill()


@pytest.fixture
def live(current, request) -> Callable[[str], Live]:
    """The same, with nothing left on the broker by the test before.

    A ``pattern`` is for tests of one script only: that nothing of this one is left is
    enough for them. With ``settled``, nothing that one of its consumers had taken comes
    back either; that may take a while.
    """

    def get(name: str, pattern: str = "", *, settled: bool = False) -> Live:
        broker = current(name)
        kind = broker.row.broker
        remove = kind.clear if settled else kind.delete
        remove(broker.settings, kind.creates.get(pattern) or kind.all_things())
        kind.run_setup(broker.settings)
        note_log(request.node, broker.instance)
        return broker

    return get


@pytest.fixture
def silent_port():
    """A port that accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def frozen():
    """A function that stops an instance's processes until the end of the test.

    It returns a function that lets them go on before that.
    """
    stopped: list[psutil.Process] = []

    def go_on() -> None:
        each_of(stopped, psutil.Process.resume)
        stopped.clear()

    def freeze(instance):
        stopped.extend(instance.processes())
        each_of(stopped, psutil.Process.suspend)
        return go_on

    yield freeze
    go_on()
