"""What live tests have seen, and the tables in docs/ that are made of it.

A test calls the fixture ``record`` with what it has seen. ``pytest --record`` writes
that into docs/evidence.json; without it the run only says what is not as it is written
there. ``python -m tests.evidence`` writes the tables.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from lab.broker import ROOT
from lab.brokers import BROKERS

DOCS = ROOT / "docs"
FILE = DOCS / "evidence.json"
PAGES = DOCS / "comparison.md", DOCS / "faults.md"
PROPERTY = "evidence"  # under this name a test's report carries it

# Table -> its rows: what a test calls it -> what the page calls it.
ROWS = {
    "patterns": {
        "fifo": "**FIFO**",
        "work-queue": "**Work queue**",
        "fanout": "**Fanout**",
        "routing": "**Routing**",
        "topic": "**Topic**",
        "rpc": "**RPC**",
        "headers": "**Headers**",
        "dead-letter": "**Dead letter**",
        "confirms": "**Confirms**",
    },
    "behaviours": {
        "version": "**Version**",
        "kept": "**Kept after reading**: a message that has been dealt with",
        "late": "**Late subscriber**: it gets",
        "killed": "**Killed worker**: its task",
        "order": "**Order with two consumers** is",
        "expiry": "**Expiry**: a message whose time is over",
        "poison": "**Poison message** that a consumer rejects or gives up: it",
        "count": "**Redelivery count**: the second to get a message is told",
        "filter": "**Who filters**: headers are compared by",
        "mid-send": "**Producer when the broker dies** in mid-send",
        "restart": "**Consumer when the broker is started again**",
        "duplicates": "**Duplicates after a crash** while 10,000 messages are sent",
        "unknown": "**Unknown name**: a message to it",
        "tied": "**All or nothing**: a message can be tied to",
        "limit": "**A limit** on topics for one customer",
        "largest": "**Largest message** by the broker's own limit",
    },
    "faults": {
        "down": "Not there at the start",
        "dies": "Killed while consumers wait",
        "killed": "Killed while 10,000 messages are sent",
        "worker": "A worker killed in mid-task, ten times in a row",
        "paused": "Paused (SIGSTOP) while a worker has a task",
        "password": "Wrong password",
        "SIGINT": "Ctrl-C, each script that waits",
        "SIGTERM": "SIGTERM, a worker",
        "frozen": "The same while the broker does not answer, Ctrl-C for each script",
        "elsewhere": "A copy in a folder with a blank in its name; twice at once",
        "slow": "Slow hands: a producer after 20 seconds, and after a minute more",
        "idle": "The same, with ten idle minutes between the two",
        "bodies": "Bodies: empty, not UTF-8, not JSON, 1 MB",
    },
}


class Seen(NamedTuple):
    """What a test has seen of a broker."""

    table: str
    row: str
    broker: str
    test: str  # file::function
    says: str  # the same each time, or nothing
    measured: str = ""  # perhaps another one each time
    times: int = 1  # so often, mostly for so many scripts


def read() -> list[Seen]:
    return [Seen(**each) for each in json.loads(FILE.read_text())]


def write(seen: Iterable[Seen]) -> None:
    lines = ",\n".join(json.dumps(each._asdict()) for each in sorted(seen))
    FILE.write_text(f"[\n{lines}\n]\n")


def cell_of(seen: Seen) -> tuple[str, str, str]:
    return seen[:3]


class Recorder:
    """Collects what the tests of a run have seen, wherever they ran.

    It says what is not as the file has it. That fails nothing: a phrase may be rare and
    right. With ``writes`` the file gets what was seen.
    """

    def __init__(self, *, writes: bool):
        self.writes = writes
        self.seen: list[Seen] = []
        self.known = read()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and report.passed:
            self.seen += [
                Seen(*value)
                for name, value in report.user_properties
                if name == PROPERTY
            ]

    def pytest_sessionfinish(self) -> None:
        """What this run has seen of a cell replaces what earlier runs have."""
        if not self.writes:
            return
        new = {cell_of(each) for each in self.seen}
        times = Counter(self.seen)
        kept = [each for each in read() if cell_of(each) not in new]
        write([*kept, *(each._replace(times=n) for each, n in times.items())])

    def pytest_terminal_summary(self, terminalreporter) -> None:
        words = {(*cell_of(each), each.says) for each in self.known}
        for each in dict.fromkeys(self.seen):
            if (*cell_of(each), each.says) not in words:
                terminalreporter.write_line(
                    f"Not as docs/evidence.json had it, {each.test}: {each.row} on "
                    f"{each.broker}: {each.says}. If this is right: make evidence"
                )


# The tables


def page_of(test: str) -> str:
    """The link to a test, with the line where it begins."""
    path, name = test.split("::")
    before, found, _ = (ROOT / path).read_text().partition(f"\ndef {name}(")
    assert found, test
    line = before.count("\n") + 2
    return f"../{path}#L{line}"


def cell(seen: list[Seen]) -> str:
    """What was seen of one broker; for several scripts, of how many of them."""
    parts = []
    for each in sorted(seen, key=lambda each: -each.times):
        count = ""
        if len(seen) > 1 or each.times > 1:
            count = f"in {each.times} run{'s' * (each.times > 1)}: "
        words = each.says or each.measured
        if each.table == "patterns":
            verdict, _, words = words.partition(": ")
            count = f"[{verdict}](../{each.broker}/README.md#{each.row}): "
        figure = f" ({each.measured})" if each.says and each.measured else ""
        parts.append(f"{count}[{words}]({page_of(each.test)}){figure}")
    return "; ".join(parts)


def lines_of(cells: Iterable[Iterable[str]]) -> str:
    return "".join(f"| {' | '.join(row)} |\n" for row in cells)


def by_broker(table: str, seen: list[Seen]) -> str:
    """A column for each broker."""
    titles = [broker.title for broker in BROKERS.values()]
    cells = [["", *titles], ["---"] * (len(titles) + 1)]
    for row, title in ROWS[table].items():
        of_row = ([s for s in seen if s[:3] == (table, row, name)] for name in BROKERS)
        cells.append([title, *(cell(each) or NOT_TRIED[row] for each in of_row)])
    return lines_of(cells)


def faults(seen: list[Seen]) -> str:
    """A table for each broker, the rows are faults."""
    parts = []
    for name, broker in BROKERS.items():
        table = [["fault", "what happens"], ["---"] * 2]
        for row, title in ROWS["faults"].items():
            of_row = [s for s in seen if s[:3] == ("faults", row, name)]
            table.append([title, cell(of_row) or NOT_TRIED[row]])
        parts.append(f"## {broker.title}\n\n{lines_of(table)}")
    return "\n".join(parts)


NOT_TRIED = {
    "password": "not tried: the scripts need none",
    "tied": "not tried",
    "limit": "not tried",
}
TABLES = {
    "patterns": partial(by_broker, "patterns"),
    "behaviours": partial(by_broker, "behaviours"),
    "faults": faults,
}


def filled(page: str, seen: list[Seen]) -> str:
    """The page with its tables, each between ``<!-- NAME -->`` and ``<!-- end -->``."""
    return re.sub(
        rf"(<!-- ({'|'.join(TABLES)}) -->\n).*?(<!-- end -->)",
        lambda found: f"{found[1]}\n{TABLES[found[2]](seen)}\n{found[3]}",
        page,
        flags=re.S,
    )


def main() -> None:
    seen = read()
    for path in PAGES:
        path.write_text(filled(path.read_text(), seen))
        print(f"Wrote {Path(path).relative_to(ROOT)}")


if __name__ == "__main__":
    main()
