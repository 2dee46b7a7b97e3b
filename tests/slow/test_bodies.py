"""Messages that nobody expects: no body stops a consumer."""

from fnmatch import fnmatchcase

import pytest

from tests.parameters import every, pattern_of
from tests.support import finish, script, start

BODIES = b"\xff\xfe\x00", b"", b'{"track"', b"x" * 1_000_000


@pytest.mark.parametrize(
    ("name", "heard"),
    **every(
        "heard", lambda heard: heard.script, where=lambda heard: heard.takes_the_next
    ),
)
def test_no_body_stops_it(name, heard, live, record):
    """With pipes, because a terminal is slow with a line of a million bytes."""
    broker = live(name, pattern_of(heard.script))
    expected = heard.line.format(body="the next one")
    environment = broker.environment | {"PYTHONUNBUFFERED": "1"}
    process = start(script(heard.script).path, environment=environment)
    assert process.stdout.readline()
    with heard.send.connected(broker.settings) as send:
        for body in BODIES:
            send(body)
            send(b"the next one")
            while not fnmatchcase(line := process.stdout.readline(), f"{expected}\n"):
                assert line, finish(process)
                if line == "Expired the next one\n":  # it has waited for too long
                    send(b"the next one")
    record("faults", "bodies", name, "it goes on with the next message")
