"""With `pytest -n 2`, two brokers at a time: all tests of a broker in one worker."""

from xdist.scheduler import LoadScopeScheduling


class BrokerByBroker(LoadScopeScheduling):
    def _split_scope(self, nodeid: str) -> str:
        return nodeid.partition("[")[2]


def pytest_xdist_make_scheduler(config, log) -> BrokerByBroker:
    return BrokerByBroker(config, log)
