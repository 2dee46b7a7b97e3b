"""A broker that is not where the settings say, or refuses the login."""

import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.parameters import every, every_broker, path_of, scripts_of
from tests.support import (
    PROMISED_SECONDS,
    Tab,
    check_one_line,
    lab,
    run,
    settings_block,
)

AT_A_TIME = 5  # scripts, that mostly wait; but more would be slow to start
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
    if "malformed" in bad.name:
        # It fails in the settings block, of which all are equal, or one of two.
        scripts = list({settings_block(each): each for each in scripts}.values())

    def seconds_until_its_end(each) -> float:
        began = time.monotonic()
        ended = run(each.path, environment=environment)
        check_one_line(ended, says=bad.says, secret=broker.row.secret)
        return time.monotonic() - began

    with ThreadPoolExecutor(AT_A_TIME) as pool:
        seconds = dict(
            zip(scripts, pool.map(seconds_until_its_end, scripts), strict=True)
        )
    for each in scripts:
        if seconds[each] >= PROMISED_SECONDS:  # that is promised where it runs alone
            seconds[each] = seconds_until_its_end(each)
    slowest = max(seconds.values())
    assert slowest < PROMISED_SECONDS

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
            "every script: status 1, and one line: where, what, what to try",
            f"{len(scripts)} scripts, the slowest after {slowest:.1f} s",
        )


@every_broker
def test_the_first_of_two_addresses_may_be_down(name, live):
    broker = live(name)
    environment = broker.environment | broker.row.first_down(broker.settings)
    sent = run(path_of(name, "producer"), environment=environment)
    assert (sent.status, sent.error) == (0, [])
    with Tab(path_of(name, "consumer"), environment=environment) as worker:
        for _ in sent.out:
            worker.wait_for("Finished *")
    assert lab("status", name, environment=environment).status == 0
