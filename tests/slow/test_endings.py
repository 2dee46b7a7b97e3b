"""Ctrl-C and SIGTERM: every script that waits ends at once and leaves nothing."""

import signal

import pytest

from tests.parameters import WAITING, endings, pattern_of
from tests.support import Tab, wait_until

# A script's lines right behind its ready line, where nobody has sent anything: what a
# worker gets that is alone in its group.
MORE_LINES_AT_START = {
    "kafka_rebalance_consumer.py": 2,
    "kafka_rebalance_cooperative_consumer.py": 2,
}


@pytest.mark.parametrize(("each", "ending"), endings(WAITING))
def test_its_end_leaves_nothing_temporary(each, ending, live, record):
    """Ctrl-C ends it silently, SIGTERM at once."""
    broker = live(each.broker, pattern_of(each.name))
    durable = set(broker.row.broker.all_things())
    with Tab(each.path, environment=broker.environment) as tab:
        assert "Press Ctrl-C to stop." in tab.line()
        for _ in range(MORE_LINES_AT_START.get(each.name, 0)):
            assert tab.line()
        assert broker.row.things(broker.settings)
        if ending == signal.SIGINT:
            tab.press_ctrl_c()
            assert tab.end() == (0, None, [])
        else:
            tab.child.kill(ending)
            assert tab.end() == (None, ending, [])
    wait_until(lambda: broker.row.things(broker.settings) <= durable)

    silently = "status 0, no output" if ending == signal.SIGINT else "it is gone"
    record(
        "faults",
        signal.Signals(ending).name,
        each.broker,
        f"{silently}; no temporary queue or subscription stays",
    )
