"""What a test is repeated for: brokers, scripts, entries of the rows."""

from pathlib import Path

import pytest

from lab.brokers import BROKERS
from tests.rows import ROWS
from tests.support import SCRIPTS, Script, script

every_broker = pytest.mark.parametrize("name", BROKERS)
every_script = pytest.mark.parametrize(
    "each", [pytest.param(each, id=each.name) for each in SCRIPTS]
)
every_waiting_script = pytest.mark.parametrize(
    "each", [pytest.param(each, id=each.name) for each in SCRIPTS if each.goes_on]
)


def every(attribute: str, label, where=lambda entry: True) -> dict:
    """Parameters: each broker's entries of one attribute of its row."""
    return {
        "argvalues": [
            pytest.param(row.broker.name, entry, id=f"{row.broker.name}-{label(entry)}")
            for row in ROWS.values()
            for entry in getattr(row, attribute)
            if where(entry)
        ]
    }


def scripts_of(name: str) -> list[Script]:
    return [each for each in SCRIPTS if each.broker == name]


def path_of(name: str, rest: str) -> Path:
    return script(f"{name}_{rest}.py").path
