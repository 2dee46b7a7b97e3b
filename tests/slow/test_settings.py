"""A broker that is not where the settings say, or refuses the login."""

import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.parameters import every, every_broker, path_of
from tests.support import (
    PROMISED_SECONDS,
    Tab,
    check_one_line,
    lab,
    run,
)

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
    # The settings and the guard of all scripts are equal: tests/static holds them so.
    scripts = [path_of(name, role) for role in ("producer", "consumer", "rpc_client")]

    def seconds_until_its_end(path) -> float:
        began = time.monotonic()
        ended = run(path, environment=environment)
        check_one_line(ended, says=bad.says, secret=broker.row.secret)
        return time.monotonic() - began

    with ThreadPoolExecutor() as pool:
        slowest = max(pool.map(seconds_until_its_end, scripts))
    if slowest >= PROMISED_SECONDS:  # that is promised where it runs alone
        slowest = max(map(seconds_until_its_end, scripts))
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
            "status 1, and one line: where, what, what to try",
            f"producer, worker and RPC client, the slowest after {slowest:.1f} s",
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
