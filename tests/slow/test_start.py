"""A message that comes while a consumer is only just ready: none falls into a gap."""

from pathlib import Path

import pexpect
import pytest

from tests.parameters import every, pattern_of
from tests.rows.row import Heard
from tests.support import Tab, script

STARTS = 2  # so many found a gap of milliseconds in 12 of 12 tests


def starts_until_one_is_missed(path: Path, heard: Heard, live, name: str) -> int | None:
    """What is sent right after the ready line arrives; or which start has missed it."""
    for number in range(1, STARTS + 1):
        broker = live(name, pattern_of(heard.script))
        body = f"message {number}"
        with (
            # It has its connection before: to connect takes longer than a small gap.
            heard.send.connected(broker.settings) as send,
            Tab(path, environment=broker.environment) as tab,
        ):
            assert tab.line()
            send(body.encode())
            try:
                tab.wait_for(heard.line.format(body=body))
            except pexpect.TIMEOUT:
                return number
    return None


@pytest.mark.parametrize(
    ("name", "heard"), **every("heard", lambda heard: heard.script)
)
def test_ready_means_ready(name, heard, live):
    path = script(heard.script).path
    assert starts_until_one_is_missed(path, heard, live, name) is None


def test_a_ready_line_that_comes_too_early_is_found(live, tmp_path):
    """In a copy of a consumer that says it just before it connects."""
    name = "activemq_fanout_consumer.py"
    text = script(name).path.read_text()
    main = "def main():\n"
    early = text.replace(main, f"{main}    print('Listening.')\n", 1)
    assert early != text
    (tmp_path / name).write_text(early)
    ((_, heard),) = (
        parameters.values
        for parameters in every("heard", lambda heard: heard.script)["argvalues"]
        if parameters.values[1].script == name
    )
    assert starts_until_one_is_missed(tmp_path / name, heard, live, "activemq")
