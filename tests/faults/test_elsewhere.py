"""A script that is copied somewhere else, and runs there twice at once."""

import shutil

from tests.parameters import every_script
from tests.support import Tab


def first_line(tab: Tab, each) -> str:
    """Says how the script has begun, or ended."""
    if each.goes_on:
        line = tab.line()
        if "Press Ctrl-C to stop." in line:
            return "waits"
        status, _, more = tab.end()
        assert (status, more) == (1, []), (line, more)
        return "is refused, with one line"
    if "rpc" in each.name:
        assert tab.line() == "Requested Night Train"
        return "asks"
    status, _, lines = tab.end()
    assert status == 0, lines
    return "does its work"


@every_script
def test_a_copy_works_alone_and_twice_at_once(each, live, tmp_path, record):
    """In a folder with a blank in its name, with nothing but its libraries."""
    broker = live(each.broker)
    folder = tmp_path / "my project"
    folder.mkdir()
    copied = shutil.copy(each.path, folder)
    with (
        Tab(copied, environment=broker.environment) as one,
        Tab(copied, environment=broker.environment) as other,
    ):
        first, second = sorted(first_line(tab, each) for tab in (one, other))[::-1]
    assert first != "is refused, with one line"
    assert [path.name for path in folder.iterdir()] == [each.name]
    record(
        "faults",
        "elsewhere",
        each.broker,
        f"each {first}" if first == second else f"one {first}, the other one {second}",
    )
