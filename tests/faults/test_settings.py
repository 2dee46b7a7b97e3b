"""A broker that is not where the settings say, or refuses the login."""

import socket
import time

import pytest

from tests.parameters import every, scripts_of
from tests.support import check_one_line, finish, lab, start

PROMISED_SECONDS = 10  # until any trouble with the broker is reported
AT_A_TIME = 3  # scripts: all at once would keep the processors busy with their start
# Bad setting -> the fault as docs/faults.md has it.
REPORTED = {"down": "down", "wrong password": "password"}


@pytest.fixture
def silent_port():
    """A port that accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.timeout(400)
@pytest.mark.parametrize(("name", "bad"), **every("bad_settings", lambda bad: bad.name))
def test_bad_settings_are_one_line(name, bad, live, silent_port, record):
    broker = live(name)
    environment = broker.environment | bad.change(broker.settings, silent_port)
    scripts = [each for each in scripts_of(name) if not each.is_setup]
    slowest = 0
    for first in range(0, len(scripts), AT_A_TIME):
        began = time.monotonic()
        processes = [
            start(each.path, environment=environment)
            for each in scripts[first : first + AT_A_TIME]
        ]
        for process in processes:
            ended = finish(process, max(0, began + PROMISED_SECONDS - time.monotonic()))
            check_one_line(ended, says=bad.says, secret=broker.row.secret)
        slowest = max(slowest, time.monotonic() - began)

    status = lab("status", name, environment=environment)
    assert status.status == 1
    (line,) = status.out or status.error
    assert bad.status_says in line
    assert broker.row.secret is None or broker.row.secret not in line

    if bad.name in REPORTED:
        record(
            "faults",
            REPORTED[bad.name],
            name,
            "every script: one line that says so and names the cure, status 1",
            f"{len(scripts)} scripts, the slowest after {slowest:.1f} s",
        )
