"""Messages that nobody expects: no body stops a consumer."""

from fnmatch import fnmatchcase

import pytest

from tests.parameters import every, pattern_of
from tests.support import Tab, script

BODIES = b"\xff\xfe\x00", b"", b'{"track"', b"x" * 1_000_000


@pytest.mark.parametrize(
    ("name", "heard"),
    **every(
        "heard", lambda heard: heard.script, where=lambda heard: heard.takes_the_next
    ),
)
def test_no_body_stops_it(name, heard, live, record):
    broker = live(name, pattern_of(heard.script))
    expected = heard.line.format(body="the next one")
    with Tab(script(heard.script).path, environment=broker.environment) as tab:
        assert tab.line()
        for body in BODIES:
            heard.send(broker.settings, body)
            heard.send(broker.settings, b"the next one")
            while not fnmatchcase(printed := tab.line(), expected):
                assert printed, tab.lines
                if printed == "Expired the next one":  # it has waited for too long
                    heard.send(broker.settings, b"the next one")
    record("faults", "bodies", name, "it goes on with the next message")
