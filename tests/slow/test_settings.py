"""A broker that is not where the settings say, or refuses the login."""

import pytest

from tests.parameters import every, every_broker, path_of
from tests.support import Tab, lab, run


@pytest.mark.parametrize(("name", "bad"), **every("bad_settings", lambda bad: bad.name))
def test_status_of_bad_settings_is_one_line(name, bad, live, silent_port):
    broker = live(name)
    environment = broker.environment | bad.change(broker.settings, silent_port)
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
    assert (sent.status, sent.error) == (0, []), sent
    with Tab(path_of(name, "consumer"), environment=environment) as worker:
        for _ in sent.out:
            worker.wait_for("Finished *")
    assert lab("status", name, environment=environment).status == 0
