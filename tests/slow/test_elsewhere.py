"""A script that is copied somewhere else, and runs there twice at once."""

import shutil

import pexpect

from tests.parameters import every_script, pattern_of
from tests.support import Tab

# They subscribe to several topics, and each of two may be the first at some of them.
BOTH_MAY_BE_REFUSED = {"pulsar_routing_consumer.py", "pulsar_topic_consumer.py"}


def first_line(tab: Tab, each) -> str:
    """Says how the script has begun, or ended."""
    if "rpc_client" in each.name:
        assert tab.line() == "Requested Night Train"
        return "works"
    if each.goes_on:
        try:
            if "Press Ctrl-C to stop." in tab.line():
                return "works"
        except pexpect.TIMEOUT:
            # The only partition of its topic belongs to the other one of its group.
            return "waits for its turn"
    status, _, lines = tab.end()
    if status == 0 and not each.goes_on:
        return "works"
    assert status == 1
    # What it wants is for one alone. It says so last, and at once if it should wait.
    assert lines == [] if each.goes_on else "Traceback" not in "".join(lines), lines
    return "is refused"


@every_script
def test_a_copy_works_alone_and_twice_at_once(each, live, tmp_path, record):
    """In a folder with a blank in its name, with nothing but its libraries."""
    broker = live(each.broker, pattern_of(each.name))
    folder = tmp_path / "my project"
    folder.mkdir()
    copied = shutil.copy(each.path, folder)
    with (
        Tab(copied, environment=broker.environment) as one,
        Tab(copied, environment=broker.environment) as other,
    ):
        second, first = sorted(first_line(tab, each) for tab in (one, other))
    assert first == "works" or each.name in BOTH_MAY_BE_REFUSED
    assert [path.name for path in folder.iterdir()] == [each.name]
    record(
        "faults",
        "elsewhere",
        each.broker,
        "both start" if second == "works" else f"a second one {second}",
    )
