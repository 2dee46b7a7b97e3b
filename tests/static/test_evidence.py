"""The tables in docs/ say what the tests have seen."""

import signal
from collections import Counter

from lab.brokers import BROKERS
from tests import evidence
from tests.evidence import NOT_TRIED
from tests.parameters import WAITING, endings, every_broker, scripts_of
from tests.rows import ROWS


def test_the_pages_have_the_tables_of_the_evidence():
    """Or else: python -m tests.evidence"""
    seen = evidence.read()
    for path in evidence.PAGES:
        assert path.read_text() == evidence.filled(path.read_text(), seen)
    for table, rows in evidence.ROWS.items():
        page = "".join(path.read_text() for path in evidence.PAGES)
        assert f"<!-- {table} -->" in page
        assert {(row, name) for row in rows for name in BROKERS} == {
            (each.row, each.broker) for each in seen if each.table == table
        } | {(row, name) for row in rows if row in NOT_TRIED for name in BROKERS}


@every_broker
def test_each_script_has_left_its_evidence(name):
    """A run of some tests only would have written less."""
    scripts = scripts_of(name)

    def ended(ending: signal.Signals, which: list) -> int:
        tried = (each.values for each in endings(which))
        return sum(each.broker == name and by == ending for each, by in tried)

    expected = {
        "SIGINT": ended(signal.SIGINT, WAITING),
        "SIGTERM": ended(signal.SIGTERM, WAITING),
        "frozen": len(endings(scripts)),
        "elsewhere": len(scripts),
        "bodies": sum(heard.takes_the_next for heard in ROWS[name].heard),
    }
    found = Counter()
    for seen in evidence.read():
        if seen.broker == name and seen.row in expected:
            found[seen.row] += seen.times
    assert found == expected
