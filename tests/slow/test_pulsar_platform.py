"""What Pulsar does for a topic: schemas, compaction, tenants, tiered storage."""

import shutil

import pulsar
import pytest
from pulsar.schema import AvroSchema, Integer, Record, String

from lab.brokers.pulsar import PULSAR, admin
from tests.rows.pulsar import PATIENT, connected, publish, things
from tests.support import Tab, run, script, wait_until

HOME = "persistent/public/default"


@pytest.fixture
def broker(live):
    return live("pulsar")


def path_of(rest: str):
    return script(f"pulsar_{rest}.py").path


def run_alone(broker, rest: str) -> list[str]:
    ended = run(path_of(rest), environment=broker.environment)
    assert ended.status == 0
    assert ended.error == []
    return ended.out


def all_of(connection: pulsar.Client, topic: str, **options) -> list[pulsar.Message]:
    reader = connection.create_reader(topic, pulsar.MessageId.earliest, **options)
    found = []
    while reader.has_message_available():
        found.append(reader.read_next(**PATIENT))
    reader.close()
    return found


# Schema


def play(**fields) -> AvroSchema:
    """The schema of a play with these fields."""
    return AvroSchema(type("Play", (Record,), fields))


VERSION_1 = {"track": String(required=True), "seconds": Integer(required=True)}
COUNTRY = String(required=True, default="unknown", required_default=True)


class Unreadable(AvroSchema):
    """Says that it is version 1 of the schema, and writes anything."""

    def __init__(self):
        super().__init__(type("Play", (Record,), VERSION_1))

    def encode(self, body: bytes) -> bytes:
        return body


def test_who_knows_the_newer_schema_can_read_old_plays(broker):
    run_alone(broker, "schema_producer")
    run_alone(broker, "schema_newer_producer")
    with connected(broker.settings) as connection:
        newer = play(**VERSION_1, country=COUNTRY)
        plays = [
            each.value() for each in all_of(connection, "track_plays", schema=newer)
        ]
    assert [each.country for each in plays] == ["unknown", "unknown", "Portugal"]


def test_a_refused_producer_leaves_nothing_behind(broker):
    run_alone(broker, "schema_producer")
    path = path_of("schema_incompatible_producer")
    refused = run(path, environment=broker.environment)
    assert refused.status == 1
    assert refused.out == []
    assert len(refused.error) == 1
    schemas = admin(
        broker.settings, "GET", "schemas/public/default/track_plays/schemas"
    )
    assert len(schemas["getSchemaResponses"]) == 1
    with connected(broker.settings) as connection:
        assert len(all_of(connection, "track_plays")) == 2


def test_a_field_without_a_default_is_incompatible(broker):
    run_alone(broker, "schema_producer")
    newer = play(**VERSION_1, country=String(required=True))
    with (
        connected(broker.settings) as connection,
        pytest.raises(pulsar.IncompatibleSchema),
    ):
        connection.create_producer("track_plays", schema=newer)


def test_a_consumer_with_an_incompatible_schema_is_refused(broker):
    run_alone(broker, "schema_incompatible_producer")
    for rest in "schema_consumer", "schema_producer":
        ended = run(path_of(rest), environment=broker.environment)
        assert ended.status == 1
        assert ended.out == []
        (line,) = ended.error
        assert "IncompatibleSchema" in line


# The second can be read as a play of 60 seconds.
@pytest.mark.parametrize("body", [b"no play", b"x" * 100])
def test_without_a_schema_one_gets_in_unless_it_is_enforced(body, broker):
    with Tab(path_of("schema_consumer"), environment=broker.environment) as tab:
        assert tab.line()
        publish("track_plays")(broker.settings, body)
        assert tab.line() == f"Skipped {body.decode()}: no play"
        run_alone(broker, "schema_producer")
        assert tab.line() == "Counted Night Train, 201 seconds"

        enforced = f"{HOME}/track_plays/schemaValidationEnforced"
        admin(broker.settings, "POST", enforced, True)
        with connected(broker.settings) as connection:

            def is_refused() -> bool:
                try:
                    connection.create_producer("track_plays").close()
                except pulsar.IncompatibleSchema:
                    return True
                return False

            wait_until(is_refused)


@pytest.mark.parametrize(
    "body", [b"", b"\x02", b"\x08\xff\xff\xff\xff\x02", b"\xff" * 9]
)
def test_a_body_that_does_not_fit_its_schema_is_skipped(body, broker):
    with Tab(path_of("schema_consumer"), environment=broker.environment) as tab:
        assert tab.line()
        with connected(broker.settings) as connection:
            producer = connection.create_producer("track_plays", schema=Unreadable())
            producer.send(body)
        skipped = tab.line()
        assert skipped.startswith("Skipped ")
        assert skipped.endswith(": no play")
        run_alone(broker, "schema_producer")
        assert tab.line() == "Counted Night Train, 201 seconds"


# Compaction


def values(connection: pulsar.Client, **options) -> list[tuple[str, bytes]]:
    found = all_of(connection, "sound_settings", **options)
    return [(each.partition_key(), each.data()) for each in found]


def test_compaction_makes_a_copy_and_leaves_the_topic(broker):
    compacted = [("ben", b""), ("anna", b"high"), ("carla", b"low")]
    publish("sound_settings")(broker.settings, b"of nobody")
    with connected(broker.settings) as connection:
        run_alone(broker, "compaction_producer")
        assert len(values(connection)) == 7
        assert values(connection, is_read_compacted=True) == compacted
        # Again: the tombstone stays, and what is new takes its place.
        run_alone(broker, "compaction_producer")
        assert len(values(connection)) == 13
        assert values(connection, is_read_compacted=True) == compacted


def test_a_table_view_needs_no_compaction(broker):
    for user, quality in ("anna", b"low"), ("ben", b"low"), ("anna", b"high"):
        publish("sound_settings", partition_key=user)(broker.settings, quality)
    publish("sound_settings", partition_key="ben")(broker.settings, b"")
    path = path_of("table_view_consumer")
    with Tab(path, environment=broker.environment) as tab:
        assert tab.line()
        assert tab.line() == "anna: high"
        publish("sound_settings", partition_key="carla")(broker.settings, b"low")
        assert tab.line() == "carla: low"


# Multi-tenancy


def policy(broker, tenant: str, name: str):
    return admin(broker.settings, "GET", f"namespaces/{tenant}/accounting/{name}")


def test_the_limit_is_one_namespaces_policy(broker, record):
    run_alone(broker, "multi_tenancy_producer")
    assert policy(broker, "meadow", "maxTopicsPerNamespace") == 1
    assert not policy(broker, "harbour", "maxTopicsPerNamespace")  # 0 is no limit
    record("behaviours", "limit", "pulsar", "holds for the namespace it was set for")


def test_tenants_are_made_once_and_can_be_reset(broker):
    run_alone(broker, "multi_tenancy_producer")
    assert run_alone(broker, "multi_tenancy_producer")
    made = set(PULSAR.creates["multi-tenancy"])
    assert things(broker.settings) == made
    PULSAR.delete(broker.settings, made)
    assert things(broker.settings) == set()


def test_permissions_are_kept_and_not_checked(broker):
    path = path_of("multi_tenancy_consumer")
    with Tab(path, "meadow", environment=broker.environment) as tab:
        assert tab.line()
        permissions = "namespaces/meadow/accounting/permissions"
        admin(broker.settings, "POST", f"{permissions}/alice", ["consume"])
        stored = admin(broker.settings, "GET", permissions)
        assert stored == {"alice": ["consume"]}
        publish("persistent://meadow/accounting/payouts")(broker.settings, b"payout 9")
        assert tab.line() == "Paid payout 9"


# Tiered storage

ARCHIVE = f"{HOME}/listening_archive"


def test_what_is_offloaded_is_read_from_its_files(broker):
    """Taken away they are missed, put back the messages are there again."""
    run_alone(broker, "tiered_storage_producer")
    ledgers = admin(broker.settings, "GET", f"{ARCHIVE}/internalStats")["ledgers"]
    assert [each["offloaded"] for each in ledgers] == [True, False]
    assert ledgers[0]["entries"] == 4

    files = broker.instance.home / "public/default/persistent/listening_archive"
    assert {each.name for each in files.glob("*/*")} >= {"data", "index"}
    away = files.with_name("away")
    files.rename(away)
    admin(broker.settings, "PUT", f"{ARCHIVE}/unload")  # forgets what it has open
    with connected(broker.settings) as connection:
        reader = connection.create_reader(
            "listening_archive", pulsar.MessageId.earliest
        )
        with pytest.raises(pulsar.Timeout):
            reader.read_next(timeout_millis=2000)
        reader.close()
        shutil.rmtree(files, ignore_errors=True)
        away.rename(files)
        admin(broker.settings, "PUT", f"{ARCHIVE}/unload")
        plays = [
            each.data().decode() for each in all_of(connection, "listening_archive")
        ]
    assert plays == [f"play {number}" for number in range(1, 7)]

    PULSAR.delete(broker.settings, PULSAR.creates["tiered-storage"])
    wait_until(lambda: not list(files.glob("*/*")))


def test_a_second_run_offloads_what_the_first_has_left(broker):
    run_alone(broker, "tiered_storage_producer")
    run_alone(broker, "tiered_storage_producer")
    path = path_of("tiered_storage_consumer")
    with Tab(path, environment=broker.environment) as tab:
        assert tab.line()
        lines = [tab.line() for _ in range(12)]
    kept = ["tiered storage"] * 10 + ["the bookie"] * 2
    assert [line.partition(" from ")[2] for line in lines] == kept
