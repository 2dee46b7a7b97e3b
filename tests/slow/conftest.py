"""Each process has a broker of a kind at a time, for all tests of that kind."""

from collections.abc import Callable

import pytest

from tests.live_broker import Live


@pytest.fixture(scope="session")
def current(start_broker) -> Callable[[str], Live]:
    """A function that returns this process's broker of a kind.

    It ends the one of another kind: idle, it would still take processor time.
    """
    known: dict[str, Live] = {}

    def get(name: str) -> Live:
        if name not in known:
            for other in known.values():
                other.instance.kill()
            known.clear()
            known[name] = start_broker(name)
            known[name].warm_up()
        return known[name]

    return get


@pytest.fixture
def live(current) -> Callable[[str], Live]:
    """The same, with nothing left on the broker by the test before.

    With ``settled``, nothing that one of its consumers had taken comes back either;
    that may take a while.
    """

    def get(name: str, *, settled: bool = False) -> Live:
        broker = current(name)
        kind = broker.row.broker
        remove = kind.clear if settled else kind.delete
        remove(broker.settings, kind.all_things())
        kind.run_setup(broker.settings)
        return broker

    return get
