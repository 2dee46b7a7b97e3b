"""Pulsar's scripts where something is wrong with what they are given."""

import pytest

from tests.support import finish, script, start

# The client tries again and again until its time limit is over, and takes more than a
# gigabyte each time: of the answer "HTTP/1.1 400" the first four letters are a length.
SECONDS = 60


@pytest.mark.parametrize("name", ["pulsar_producer.py", "pulsar_consumer.py"])
def test_the_rest_interfaces_port_is_the_wrong_one(name, live):
    broker = live("pulsar")
    url = f"pulsar://localhost:{broker.settings['PULSAR_ADMIN_PORT']}"
    environment = broker.environment | {"PULSAR_SERVICE_URL": url}
    ended = finish(start(script(name).path, environment=environment), SECONDS)
    assert (ended.status, ended.out) == (1, [])
    (line,) = ended.error
    assert f"Pulsar at localhost:{broker.settings['PULSAR_ADMIN_PORT']}: " in line
    assert line.endswith("Try: python -m lab status pulsar")
