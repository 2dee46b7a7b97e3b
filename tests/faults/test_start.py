"""A message that comes while a consumer is only just ready: none falls into a gap."""

import pytest

from tests.parameters import every
from tests.support import Tab, script


@pytest.mark.parametrize(
    ("name", "heard"), **every("heard", lambda heard: heard.script)
)
def test_ready_means_ready(name, heard, live):
    """What is sent right after the ready line arrives, twenty times out of twenty."""
    for number in range(20):
        # Nothing is left of the message before. But RocketMQ counts attempts by the
        # place in an ordered topic, also in the next of that name, and gives up at 17.
        broker = live(name, settled=number == 10)
        body = f"message {number}"
        with Tab(script(heard.script).path, environment=broker.environment) as tab:
            assert tab.line()
            heard.send(broker.settings, body.encode())
            tab.wait_for(heard.line.format(body=body))
