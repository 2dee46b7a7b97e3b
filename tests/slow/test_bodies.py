"""Messages that nobody expects: no body stops a consumer."""

import pytest

from tests.parameters import every
from tests.support import Tab, script

BODIES = b"\xff\xfe\x00", b"", b'{"track"', b"x" * 1_000_000


@pytest.mark.parametrize(
    ("name", "heard"),
    **every(
        "heard", lambda heard: heard.script, where=lambda heard: heard.takes_the_next
    ),
)
def test_no_body_stops_it(name, heard, live, record):
    broker = live(name)
    with Tab(script(heard.script).path, environment=broker.environment) as tab:
        assert tab.line()
        for body in BODIES:
            heard.send(broker.settings, body)
            # Not at the end only: a request that has waited for long has expired.
            heard.send(broker.settings, b"the next one")
            tab.wait_for(heard.line.format(body="the next one"))
    record("faults", "bodies", name, "it goes on with the next message")
