"""The lab and Pulsar: what it shows and deletes, and what it says is wrong."""

import time

import pulsar
import pytest

from lab.broker import Thing, Unavailable
from lab.brokers.pulsar import admin, contents, delete, topics_by_namespace
from tests.rows.pulsar import PATIENT, connected, publish, things
from tests.support import Tab, lab, run, script, wait_until

TENANT = "lab-tests"
NAMESPACE = f"{TENANT}/uploads"


@pytest.fixture
def broker(live):
    """With nothing on it but what a test makes; that is gone after it."""
    broker = live("pulsar")
    yield broker
    delete(broker.settings, {*things(broker.settings), *tenants()})


def tenants() -> tuple[Thing, ...]:
    return Thing("namespace", NAMESPACE), Thing("tenant", TENANT)


def make_namespace(settings) -> None:
    home = admin(settings, "GET", "tenants/public")
    admin(settings, "PUT", f"tenants/{TENANT}", home)
    admin(settings, "PUT", f"namespaces/{NAMESPACE}", {})


def figures(settings) -> dict[str, tuple[int | None, int | None]]:
    return {str(each.thing): each[1:] for each in contents(settings)}


def rows(broker) -> list[list[str]]:
    """What `lab show` prints below its head line."""
    shown = lab("show", "pulsar", environment=broker.environment)
    assert shown.status == 0, shown
    return [line.split() for line in shown.out[1:]]


def status_line(broker, **changed: str) -> str:
    ended = lab("status", "pulsar", environment={**broker.environment, **changed})
    assert ended.status == 1, ended
    (line,) = ended.out + ended.error
    assert "Traceback" not in line
    return line


# show


def test_show_says_what_waits_and_who_reads(broker):
    with Tab(script("pulsar_consumer.py").path, environment=broker.environment) as tab:
        assert tab.line()
        assert rows(broker) == [
            ["subscription", "music_tasks/encoders", "0", "1"],
            ["topic", "music_tasks", "0"],
        ]
    run(script("pulsar_producer.py").path, environment=broker.environment)
    # The killed worker's consumer is gone with its connection.
    wait_until(
        lambda: (
            rows(broker)
            == [
                ["subscription", "music_tasks/encoders", "6", "0"],
                ["topic", "music_tasks", "6"],
            ]
        )
    )


def test_show_says_when_there_is_nothing(broker):
    shown = lab("show", "pulsar", environment=broker.environment)
    where = broker.settings["PULSAR_SERVICE_URL"].removeprefix("pulsar://")
    assert shown.out == [f"Pulsar on {where} holds nothing."]


def test_a_topic_keeps_what_its_subscription_has_acknowledged(broker):
    """For a while; the README says so of the two figures."""
    with connected(broker.settings) as connection:
        consumer = connection.subscribe("plays", "charts")
        publish("plays", times=3)(broker.settings, b"play")
        for _ in range(3):
            message = consumer.receive(**PATIENT)
            consumer.acknowledge_cumulative(message)
    wait_until(
        lambda: (
            figures(broker.settings)
            == {"topic plays": (3, None), "subscription plays/charts": (0, 0)}
        )
    )


def test_a_batch_counts_as_one(broker):
    with connected(broker.settings) as connection:
        connection.subscribe("plays", "charts")
        producer = connection.create_producer(
            "plays", batching_enabled=True, batching_max_publish_delay_ms=500
        )
        for _ in range(10):
            producer.send_async(b"play", None)
        producer.flush()
    assert figures(broker.settings)["subscription plays/charts"][0] == 1


def test_partitions_count_together(broker):
    """As one topic, with the sum of what its parts hold."""
    admin(broker.settings, "PUT", "persistent/public/default/plays/partitions", 3)
    with connected(broker.settings) as connection:
        connection.subscribe("plays", "charts")
        producer = connection.create_producer(
            "plays",
            message_routing_mode=pulsar.PartitionsRoutingMode.RoundRobinDistribution,
        )
        for _ in range(6):
            producer.send(b"play")
        found = figures(broker.settings)
        assert found["topic plays"] == (6, None)
        assert found["subscription plays/charts"][0] == 6
        assert set(found) == {"topic plays", "subscription plays/charts"}


def test_topics_elsewhere_have_their_whole_name(broker):
    make_namespace(broker.settings)
    publish(f"{NAMESPACE}/plays")(broker.settings, b"play")
    assert rows(broker) == [["topic", f"{NAMESPACE}/plays", "1"]]


# reset: lab.brokers.pulsar.delete


def test_a_partitioned_topic_is_deleted(broker):
    admin(broker.settings, "PUT", "persistent/public/default/plays/partitions", 3)
    publish("plays")(broker.settings, b"play")
    publish("other")(broker.settings, b"play")
    delete(broker.settings, [Thing("topic", "plays")])
    assert things(broker.settings) == {Thing("topic", "other")}
    assert admin(broker.settings, "GET", "persistent/public/default/partitioned") == []


def test_a_topic_that_has_just_got_partitions_is_deleted(broker, monkeypatch):
    """Between the look for it and its deletion."""
    path = "persistent/public/default/plays"

    def looked(settings):
        there = topics_by_namespace(settings)
        monkeypatch.undo()
        admin(settings, "DELETE", path)
        admin(settings, "PUT", f"{path}/partitions", 1)
        return there

    admin(broker.settings, "PUT", path)
    monkeypatch.setattr("lab.brokers.pulsar.topics_by_namespace", looked)
    delete(broker.settings, [Thing("topic", "plays")])
    assert things(broker.settings) == set()


def test_a_topic_with_a_consumer_is_deleted(broker):
    """It is taken from its consumer, with its subscription."""
    with connected(broker.settings) as connection:
        connection.subscribe("plays", "charts")
        delete(broker.settings, [Thing("topic", "plays")])
    # The consumer may have connected again before its end, and made the topic anew.
    delete(broker.settings, [Thing("topic", "plays")])
    assert things(broker.settings) == set()


def test_a_namespace_goes_with_its_topics_and_a_tenant_with_its_namespaces(broker):
    make_namespace(broker.settings)
    publish(f"{NAMESPACE}/plays")(broker.settings, b"play")
    publish("plays")(broker.settings, b"play")
    admin(broker.settings, "PUT", f"persistent/{NAMESPACE}/split/partitions", 2)
    delete(broker.settings, [Thing("namespace", NAMESPACE)])
    assert things(broker.settings) == {Thing("topic", "plays")}
    assert admin(broker.settings, "GET", f"namespaces/{TENANT}") == []
    delete(broker.settings, [Thing("tenant", TENANT)])
    assert TENANT not in admin(broker.settings, "GET", "tenants")
    # Again, nothing is there, and that is no error.
    delete(broker.settings, tenants())


def test_a_namespace_made_again_while_clients_look_for_it_can_be_deleted_again(broker):
    """With several bundles a namespace, Pulsar then mixes up old and new ones."""
    make_namespace(broker.settings)
    with connected(broker.settings) as client:
        for name in ("a", "b", "c"):
            client.subscribe(f"{NAMESPACE}/{name}", "archive")
        for _ in range(3):
            delete(broker.settings, [Thing("namespace", NAMESPACE)])
            admin(broker.settings, "PUT", f"namespaces/{NAMESPACE}", {})


def test_a_tenant_is_deleted_with_all_that_it_has(broker):
    make_namespace(broker.settings)
    publish(f"{NAMESPACE}/plays")(broker.settings, b"play")
    delete(broker.settings, [Thing("tenant", TENANT)])
    assert TENANT not in admin(broker.settings, "GET", "tenants")


def test_what_a_pattern_did_not_create_stays(broker):
    publish("plays")(broker.settings, b"play")
    run(script("pulsar_producer.py").path, environment=broker.environment)
    ended = lab("reset", "pulsar/work-queue", environment=broker.environment)
    assert ended.status == 0, ended
    assert things(broker.settings) == {Thing("topic", "plays")}


# status


def test_the_rest_interfaces_port_is_not_for_clients(broker):
    port = broker.settings["PULSAR_ADMIN_PORT"]
    line = status_line(broker, PULSAR_SERVICE_URL=f"pulsar://localhost:{port}")
    assert f"localhost:{port} but does not answer in Pulsar's protocol" in line
    assert "Pulsar's is 6650, its REST interface's 8080." in line


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://localhost:1", "Connection refused"),
        ("http://localhost:{client_port}", "Remote end closed|reset by peer"),
        ("http://no-such-host.invalid:8080", "Name or service not known|nodename"),
    ],
)
def test_a_rest_interface_that_does_not_answer(url, why, broker):
    """While clients are answered: status says which of the two it is."""
    address = url.format(client_port=broker.settings["PULSAR_PORT"])
    line = status_line(broker, PULSAR_ADMIN_URL=address)
    assert line.startswith("Pulsar cannot be used (it runs, local, ")
    assert f"REST interface does not answer at {address} (" in line
    assert any(word in line for word in why.split("|"))
    assert line.endswith("Mend PULSAR_ADMIN_URL in .env.")


def test_something_else_that_speaks_http(broker):
    """It answers, and is no Pulsar: its refusal is told."""
    port = broker.settings["PULSAR_ADMIN_PORT"]
    with pytest.raises(Unavailable, match="Pulsar refuses GET brokers/version"):
        admin(
            {"PULSAR_ADMIN_URL": f"http://localhost:{port}/elsewhere"},
            "GET",
            "brokers/version",
        )


@pytest.mark.alone
def test_a_frozen_broker(broker, frozen):
    """Its ports accept, nobody answers: said within seconds, and it recovers."""
    go_on = frozen(broker.instance)
    began = time.monotonic()
    line = status_line(broker)
    assert time.monotonic() - began < 20
    go_on()
    assert line.startswith("Pulsar cannot be used (it runs, local, ")
    assert "does not answer in Pulsar's protocol" in line
    wait_until(
        lambda: lab("status", "pulsar", environment=broker.environment).status == 0
    )
