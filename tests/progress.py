"""Says how far a run is, broker by broker, and what it has done at its end."""

from collections import Counter

import pytest

from lab.broker import LabError
from lab.brokers import BROKERS

WALKTHROUGHS = "live/test_walkthroughs.py"


class Progress:
    """A plugin of pytest, for the process above those that run the tests."""

    def __init__(self, config: pytest.Config):
        self.config = config
        self.all: Counter[str] = Counter()  # walkthroughs of each broker
        self.replayed: Counter[str] = Counter()
        self.tests: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.seconds: Counter[str] = Counter()
        self.has_looked = False  # for brokers that cannot be had here

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.count([item.nodeid for item in session.items])

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node, ids) -> None:
        self.count(ids)

    def count(self, tests: list[str]) -> None:
        self.all = Counter(broker_of(test) for test in tests if WALKTHROUGHS in test)
        if not (self.has_looked or self.config.getoption("--live")):
            self.has_looked = True
            needed = {broker_of(test) for test in tests if "tests/static" not in test}
            for line in filter(None, map(what_is_missing, needed - {""})):
                self.print(line)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        name = broker_of(report.nodeid)
        self.seconds[name] += report.duration
        self.failed[name] += report.failed
        if report.when != "call":
            return
        self.tests[name] += 1
        if WALKTHROUGHS not in report.nodeid:
            return
        self.replayed[name] += 1
        done, total = self.replayed[name], self.all[name]
        if done * 4 // total > (done - 1) * 4 // total:  # each quarter
            failed = f", {self.failed[name]} failed" if self.failed[name] else ""
            self.print(f"{BROKERS[name].title}: {done} of {total} walkthroughs{failed}")

    def print(self, line: str) -> None:
        reporter = self.config.pluginmanager.get_plugin("terminalreporter")
        if reporter:
            reporter.ensure_newline()
            reporter.write_line(line)

    def pytest_terminal_summary(self, terminalreporter) -> None:
        if not self.replayed:
            return
        row = "{:<10}{:>14}{:>8}{:>8}{:>9}".format
        terminalreporter.section("brokers")
        head = "broker", "walkthroughs", "tests", "failed", "seconds"
        terminalreporter.write_line(row(*head))
        for name in (*BROKERS, ""):
            terminalreporter.write_line(
                row(
                    BROKERS[name].title if name else "none",
                    self.replayed[name],
                    self.tests[name],
                    self.failed[name],
                    round(self.seconds[name]),
                )
            )


def what_is_missing(name: str) -> str | None:
    """A line, where this broker's program cannot be had here."""
    broker = BROKERS[name]
    try:
        cure = broker.software.cure()
    except LabError as error:
        return f"{broker.title} cannot be started, its tests fail: {error}"
    if cure is None:
        return None
    return f"{broker.title} is not on this machine, its tests fail. To get it: {cure}"


def broker_of(test: str) -> str:
    """The name of the broker that a test names; empty where it names none."""
    return next((name for name in BROKERS if name in test), "")
