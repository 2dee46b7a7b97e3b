"""Pulsar's scripts: wrong addresses, and why a worker's queue is short."""

import pulsar
import pytest

from tests.rows.pulsar import PATIENT, connected, publish
from tests.support import finish, lab, run, script, start

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


@pytest.mark.parametrize(
    "url", ["localhost:8080", "localhost", "http://localhost", "http://localhost:port"]
)
def test_a_malformed_address_of_the_rest_interface(url):
    """Scripts that need it and the lab say so, whether Pulsar is up or not."""
    environment = {"PULSAR_ADMIN_URL": url}
    # All that need it have the same settings: a test of style compares them.
    for ended in (
        run(script("pulsar_fifo_producer.py").path, environment=environment),
        lab("status", "pulsar", environment=environment),
    ):
        line = "PULSAR_ADMIN_URL is malformed. Write it as .env.example does."
        assert ended == (1, [], [line])


def test_of_tasks_that_wait_the_first_worker_is_sent_all_by_default(live):
    settings = live("pulsar").settings
    kind = pulsar.ConsumerType.Shared
    with connected(settings) as client:
        client.subscribe("music_tasks", "encoders", kind).close()
        publish("music_tasks", times=6)(settings, b"task")
        first = client.subscribe("music_tasks", "encoders", kind)
        assert all(first.receive(**PATIENT) for _ in range(6))
        second = client.subscribe("music_tasks", "encoders", kind)
        with pytest.raises(pulsar.Timeout):
            second.receive(timeout_millis=1000)
