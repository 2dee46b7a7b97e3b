"""A broker that is not where the settings say, or refuses the login."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.parameters import every, every_broker, path_of
from tests.support import Tab, check_one_line, lab, run


@pytest.mark.timeout(400)
@pytest.mark.parametrize(("name", "bad"), **every("bad_settings", lambda bad: bad.name))
def test_bad_settings_are_one_line(name, bad, live, silent_port):
    broker = live(name)
    environment = broker.environment | bad.change(broker.settings, silent_port)
    # The settings and the guard of all scripts are equal: tests/static holds them so.
    scripts = [path_of(name, role) for role in ("producer", "consumer", "rpc_client")]

    def check(path) -> None:
        ended = run(path, environment=environment)
        check_one_line(ended, says=bad.says, secret=broker.row.secret)

    with ThreadPoolExecutor() as pool:
        for checked in [pool.submit(check, path) for path in scripts]:
            checked.result()

    status = lab("status", name, environment=environment)
    assert status.status == 1
    (line,) = status.out or status.error
    assert bad.status_says in line
    assert broker.row.secret is None or broker.row.secret not in line


@every_broker
def test_the_first_of_two_addresses_may_be_down(name, live):
    broker = live(name)
    environment = broker.environment | broker.row.first_down(broker.settings)
    sent = run(path_of(name, "producer"), environment=environment)
    assert sent.status == 0, sent
    with Tab(path_of(name, "consumer"), environment=environment) as worker:
        for _ in sent.out:
            worker.wait_for("Finished *")
    assert lab("status", name, environment=environment).status == 0
