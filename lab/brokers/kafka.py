"""Kafka: its jars, how it is started, asked and cleaned."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping

from lab.broker import (
    ROOT,
    Broker,
    Content,
    Endpoint,
    LabError,
    Port,
    Thing,
    Unavailable,
)
from lab.jars import Jars, java
from lab.libraries import Library
from lab.reach import check_reachable

kafka = Library("kafka", "kafka")

TIMEOUT = 4  # seconds


def endpoints(settings: Mapping[str, str]) -> list[Endpoint]:
    """The servers that KAFKA_BOOTSTRAP_SERVERS lists. Raises LabError if malformed."""
    servers = settings["KAFKA_BOOTSTRAP_SERVERS"].split(",")
    pairs = [server.strip().rpartition(":") for server in servers]
    if not all(host and port.isdecimal() for host, _, port in pairs):
        raise LabError(
            "KAFKA_BOOTSTRAP_SERVERS is malformed. Write it as .env.example does."
        )
    return [Endpoint(host, int(port)) for host, _, port in pairs]


def connect(settings: Mapping[str, str]) -> kafka.KafkaAdminClient:
    """A client of the cluster. Raises Unavailable with the why."""
    ends = endpoints(settings)
    check_reachable(ends, "KAFKA_BOOTSTRAP_SERVERS", "kafka")
    try:
        return kafka.KafkaAdminClient(
            bootstrap_servers=[str(end) for end in ends],
            bootstrap_timeout_ms=TIMEOUT * 1000,
        )
    except kafka.errors.KafkaError:
        where = ", ".join(map(str, ends))
        raise Unavailable(
            f"something listens on {where} but does not speak Kafka's protocol. "
            "Is the port right? Kafka's is 9092."
        ) from None


def probe(settings: Mapping[str, str]) -> str:
    kafka.require()
    with connect(settings) as admin:
        (broker, *_) = admin.describe_cluster()["brokers"]
        version = admin.get_broker_version_data(broker["broker_id"]).broker_version
        return ".".join(map(str, version))


def contents(settings: Mapping[str, str]) -> list[Content]:
    """Topics with what they keep, groups with what they have yet to read."""
    servers = [str(end) for end in endpoints(settings)]
    with connect(settings) as admin:
        try:
            with kafka.KafkaConsumer(bootstrap_servers=servers) as consumer:
                return ask_contents(admin, consumer)
        except kafka.errors.KafkaError as error:
            raise Unavailable(f"Kafka does not tell what it holds: {error!r}") from None


def ask_contents(
    admin: kafka.KafkaAdminClient, consumer: kafka.KafkaConsumer
) -> list[Content]:
    names = [name for name in admin.list_topics() if not name.startswith("__")]
    partitions = [
        kafka.TopicPartition(name, number)
        for name in names
        for number in consumer.partitions_for_topic(name) or ()
    ]
    begins = consumer.beginning_offsets(partitions)
    ends = consumer.end_offsets(partitions)
    kept = Counter(dict.fromkeys(names, 0))
    for each in partitions:
        kept[each.topic] += ends[each] - begins[each]
    found = [Content(topic(name), count, None) for name, count in kept.items()]
    for name in groups(admin):
        offsets = admin.list_group_offsets(name)[name]
        lag = sum(ends[part] - offsets[part].offset for part in offsets if part in ends)
        members = admin.describe_groups([name])[name]["members"]
        found.append(Content(group(name), lag, len(members)))
    return found


def delete(settings: Mapping[str, str], things: Iterable[Thing]) -> None:
    names = {"topic": set(), "consumer group": set()}
    for thing in things:
        names[thing.kind].add(thing.name)
    with connect(settings) as admin:
        try:
            for group in groups(admin) & names["consumer group"]:
                delete_group(admin, group)
            if topics := set(admin.list_topics()) & names["topic"]:
                admin.delete_topics(list(topics))
        except kafka.errors.KafkaError as error:
            raise Unavailable(f"Kafka does not delete: {error!r}") from None


def groups(admin: kafka.KafkaAdminClient) -> set[str]:
    return {each["group_id"] for each in admin.list_groups()}


def delete_group(admin: kafka.KafkaAdminClient, name: str) -> None:
    """Delete a group, its members first. Raises KafkaError.

    Members may be alive, or killed and not yet missed by Kafka.
    """
    deadline = time.monotonic() + TIMEOUT
    while True:
        described = admin.describe_groups([name])[name]
        admin.remove_group_members(
            name,
            [
                kafka.admin.MemberToRemove(each["member_id"])
                for each in described["members"]
            ],
        )
        result = admin.delete_groups([name])[name]  # "OK", or the name of an error
        if result in ("OK", kafka.errors.GroupIdNotFoundError.__name__):
            return
        # A member that was alive joins again at once.
        in_use = result == kafka.errors.NonEmptyGroupError.__name__
        if not in_use or time.monotonic() > deadline:
            raise kafka.errors.KafkaError(f"{result} for consumer group {name}")


def topic(name: str) -> Thing:
    return Thing("topic", name)


def group(name: str) -> Thing:
    return Thing("consumer group", name)


CLUSTER = "music-streaming-lab-01"  # 22 characters, as an id of a cluster has
SERVER_PROPERTIES = (ROOT / "config/kafka/server.properties").read_text()

KAFKA = Broker(
    name="kafka",
    title="Kafka",
    services=("kafka",),
    ports=(Port("KAFKA_PORT", 9092),),
    addresses={"KAFKA_BOOTSTRAP_SERVERS": "localhost:$KAFKA_PORT"},
    credentials={},
    page=None,
    software=Jars("kafka"),
    # KRaft wants its folder formatted, once. In a formatted one this changes nothing.
    prepare=(
        java(
            "-Xmx128m",
            "kafka.tools.StorageTool",
            *("format", "--ignore-formatted", "--cluster-id", CLUSTER),
            *("--config", "$home/server.properties"),
        ),
    ),
    processes=(java("-Xmx384m", "kafka.Kafka", "$home/server.properties"),),
    files={
        "server.properties": SERVER_PROPERTIES
        + """
log.dirs=$home/data
listeners=HOST://127.0.0.1:$KAFKA_PORT,CONTROLLER://127.0.0.1:$CONTROLLER_PORT
advertised.listeners=HOST://localhost:$KAFKA_PORT
controller.quorum.voters=1@127.0.0.1:$CONTROLLER_PORT
"""
    },
    inner_ports=("CONTROLLER_PORT",),
    ready_seconds=60,
    endpoints=endpoints,
    probe=probe,
    contents=contents,
    creates={
        "fifo": (
            *(topic("playlist_single"), group("players_single")),
            *(topic("playlist_split"), group("players_split")),
        ),
        "work-queue": (topic("music_tasks"), group("encoders")),
        "fanout": (topic("new_releases"),),
        "routing": tuple(
            topic(f"service_logs.{severity}")
            for severity in ("info", "warning", "error", "critical")
        ),
        "topic": tuple(
            topic(f"catalogue.{key}")
            for key in (
                "music.rock.classic",
                "music.pop.hits",
                "music.rock.indie",
                "music.rock.indie.live",
                "podcast.news",
            )
        ),
        "rpc": (
            topic("track_metadata"),
            topic("track_metadata_replies"),
            group("metadata_servers"),
        ),
        "headers": (topic("booklets"),),
        "dead-letter": (
            *(topic("uploads"), topic("live_requests"), topic("latest_hits")),
            *(topic("dead_letters"), group("upload_encoders")),
            group("dead_letter_readers"),
        ),
        "confirms": (
            topic("royalties"),
            topic("small_royalties"),
            group("accountants"),
        ),
        "partitions": (topic("artist_plays"), group("play_counters")),
        "rebalance": (
            topic("ratings"),
            group("rating_counters"),
            group("rating_counters_cooperative"),
        ),
        "replay": (topic("listening_history"),),
        "compaction": (topic("sound_settings"),),
        "transactions": (topic("payments"), topic("bookings"), group("bookkeepers")),
    },
    delete=delete,
)
