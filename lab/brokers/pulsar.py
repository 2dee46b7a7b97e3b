"""Pulsar: its distribution, how it is started, asked and cleaned."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Set
from contextlib import suppress
from typing import Any, NamedTuple
from urllib.error import HTTPError

from lab import web
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

pulsar = Library("pulsar", "pulsar")

TIMEOUT = 4  # seconds
ADMIN_TIMEOUT = 15  # its first answers after a start take seconds on a busy machine
# Until what somebody still uses, or has just stopped using, can be deleted.
DELETE_SECONDS = 10
POLL_SECONDS = 0.1
STORAGE_SECONDS = 6  # so long a start must have been able to store
GONE = 404
OWN_TENANT = "pulsar"  # its system's
HOME_NAMESPACE = "public/default"  # that of a topic with a short name


def endpoints(settings: Mapping[str, str]) -> list[Endpoint]:
    """The brokers that PULSAR_SERVICE_URL lists.

    Raises LabError if that is malformed, or PULSAR_ADMIN_URL: said at once, not when a
    broker that starts does not seem to get ready.
    """
    split(settings, "PULSAR_ADMIN_URL", ("http", "https"))
    return split(settings, "PULSAR_SERVICE_URL", ("pulsar",))


def split(
    settings: Mapping[str, str], name: str, schemes: tuple[str, ...]
) -> list[Endpoint]:
    scheme, _, servers = settings[name].partition("://")
    pairs = [server.strip().rpartition(":") for server in servers.split(",")]
    if scheme not in schemes or not all(
        host and port.isdecimal() for host, _, port in pairs
    ):
        raise LabError(f"{name} is malformed. Write it as .env.example does.")
    return [Endpoint(host, int(port)) for host, _, port in pairs]


def client(settings: Mapping[str, str]) -> pulsar.Client:
    """A client that keeps its log to itself, and gives up soon."""
    return pulsar.Client(
        settings["PULSAR_SERVICE_URL"],
        operation_timeout_seconds=TIMEOUT,
        connection_timeout_ms=TIMEOUT * 1000,
        logger=pulsar.FileLogger(pulsar.LoggerLevel.Error, os.devnull),
    )


class Refused(Unavailable):
    """A request that the admin interface has answered with an error."""

    def __init__(self, message: str, status: int):
        super().__init__(message)
        self.status = status


def admin(
    settings: Mapping[str, str], method: str, path: str, body: object = None
) -> Any:
    """What the REST interface answers: https://pulsar.apache.org/admin-rest-api/

    Raises Unavailable where it does not answer, Refused where it says no.
    """
    url = f"{settings['PULSAR_ADMIN_URL']}/admin/v2/{path}"
    try:
        text = web.ask(url, method=method, body=body, timeout=ADMIN_TIMEOUT)
    except HTTPError as error:
        with error:
            try:
                why = json.loads(error.read())["reason"].splitlines()[0]
            except (ValueError, KeyError, TypeError, IndexError, AttributeError):
                why = error.reason
        raise Refused(f"Pulsar refuses {method} {path}: {why}", error.code) from None
    except (OSError, ValueError) as error:
        why = getattr(error, "reason", error)
        raise Unavailable(
            f"Pulsar's REST interface does not answer at "
            f"{settings['PULSAR_ADMIN_URL']} ({why}). Mend PULSAR_ADMIN_URL in .env."
        ) from None
    try:
        return json.loads(text) if text else None
    except ValueError:
        return text


def probe(settings: Mapping[str, str]) -> str:
    pulsar.require()
    ends = endpoints(settings)
    check_reachable(ends, "PULSAR_SERVICE_URL", "pulsar")
    where = ", ".join(map(str, ends))
    connection = client(settings)
    try:
        connection.get_topic_partitions(f"persistent://{HOME_NAMESPACE}/any")
    except pulsar.PulsarException:
        raise Unavailable(
            f"something listens on {where} but does not answer in Pulsar's protocol. "
            "Is the port right? Pulsar's is 6650, its REST interface's 8080."
        ) from None
    finally:
        connection.close()
    # A broker that starts is healthy a moment before its first namespace is there.
    admin(settings, "GET", f"namespaces/{HOME_NAMESPACE}")
    admin(settings, "GET", "brokers/health")
    return admin(settings, "GET", "brokers/version")


def check_storage(settings: Mapping[str, str]) -> None:
    """Make topics and delete them, for some seconds. Raises Unavailable if one fails.

    After a SIGKILL, the bookie of the new process is forgotten for a moment when that
    of the dead one is: until then a broker that is healthy can make no new ledger.
    """
    end = time.monotonic() + STORAGE_SECONDS
    while time.monotonic() < end:
        path = f"persistent/{HOME_NAMESPACE}/__lab_check_{time.monotonic_ns()}"
        admin(settings, "PUT", path)
        insist(settings, f"{path}?force=true")
        time.sleep(0.2)


class Topics(NamedTuple):
    """A namespace's, but for Pulsar's own."""

    partitioned: list[str]
    others: list[str]  # also what is left of one that was partitioned


def topics_by_namespace(settings: Mapping[str, str]) -> dict[str, Topics]:
    found: dict[str, Topics] = {}
    for tenant in admin(settings, "GET", "tenants"):
        if tenant == OWN_TENANT:
            continue
        for namespace in admin(settings, "GET", f"namespaces/{tenant}"):
            # In this order: of one that is just made, no partition stands alone.
            whole = admin(settings, "GET", f"persistent/{namespace}")
            split = admin(settings, "GET", f"persistent/{namespace}/partitioned")
            names, partitioned = (
                [path.rpartition("/")[2] for path in paths] for paths in (whole, split)
            )
            others = [
                name
                for name in names
                if not name.startswith("__") and name_of(name) not in partitioned
            ]
            found[namespace] = Topics(partitioned, others)
    return found


def name_of(topic: str) -> str:
    """Without the number of its partition."""
    return topic.partition("-partition-")[0]


def contents(settings: Mapping[str, str]) -> list[Content]:
    """Topics with what they keep, subscriptions with what they have yet to consume.

    Pulsar counts entries: a batch of messages is one.
    """
    return [
        content
        for namespace, topics in topics_by_namespace(settings).items()
        for names, split in zip(topics, (True, False), strict=True)
        for name in names
        for content in contents_of(settings, namespace, name, split)
    ]


def contents_of(
    settings: Mapping[str, str], namespace: str, name: str, split: bool
) -> Iterator[Content]:
    path = f"persistent/{namespace}/{name}"
    prefix = "partitioned-" if split else ""
    try:
        stats = admin(settings, "GET", f"{path}/{prefix}stats?getPreciseBacklog=true")
        inner = admin(settings, "GET", f"{path}/{prefix}internalStats")
    except Refused as error:
        if error.status == GONE:  # in the meantime
            return
        raise
    parts = inner["partitions"].values() if split else [inner]
    topic = short(namespace, name)
    kept = sum(part["numberOfEntries"] for part in parts)
    yield Content(Thing("topic", topic), kept, None)
    for subscription, values in stats["subscriptions"].items():
        thing = Thing("subscription", f"{topic}/{subscription}")
        yield Content(thing, values["msgBacklog"], len(values["consumers"]))


def short(namespace: str, name: str) -> str:
    return name if namespace == HOME_NAMESPACE else f"{namespace}/{name}"


def delete(settings: Mapping[str, str], things: Iterable[Thing]) -> None:
    """As ``Broker.delete``; what somebody still uses is taken from him.

    A topic goes with its subscriptions, a namespace with its topics.
    """
    wanted = {kind: set() for kind in ("topic", "subscription", "namespace", "tenant")}
    for thing in things:
        wanted[thing.kind].add(thing.name)
    deadline = time.monotonic() + DELETE_SECONDS
    deleted: set[str] = set()  # each once: who uses it may make it anew
    while True:
        # Looked for each time: one that has just got partitions has another path.
        there = topics_by_namespace(settings)
        paths = topic_paths(there, wanted["topic"])
        if paths.keys() <= deleted:
            break
        for name in paths.keys() - deleted:
            try:
                admin(settings, "DELETE", paths[name])
                deleted.add(name)
            except Refused:  # gone; or somebody connects, or is just being disconnected
                if time.monotonic() > deadline:
                    raise
        time.sleep(POLL_SECONDS)
    for namespace in wanted["namespace"] & there.keys():
        insist(settings, f"namespaces/{namespace}?force=true")
    for tenant in wanted["tenant"]:  # also one without a namespace
        insist(settings, f"tenants/{tenant}?force=true")


def topic_paths(there: Mapping[str, Topics], wanted: Set[str]) -> dict[str, str]:
    """Where those that are there are deleted, by their names."""
    return {
        f"{namespace}/{name}": f"persistent/{namespace}/{name}{rest}?force=true"
        for namespace, topics in there.items()
        for names, rest in zip(topics, ("/partitions", ""), strict=True)
        for name in names
        if wanted & {short(namespace, name), short(namespace, name_of(name))}
    }


def insist(settings: Mapping[str, str], path: str) -> None:
    """Delete until it is gone. Raises Refused."""
    deadline = time.monotonic() + DELETE_SECONDS
    while True:
        try:
            return admin(settings, "DELETE", path)
        except Refused as error:
            # Of a namespace it is also said where one of its topics has just gone.
            if error.status == GONE and not is_listed(settings, path):
                return None
            # Somebody connects, or is just being disconnected.
            if time.monotonic() > deadline:
                raise
        time.sleep(POLL_SECONDS)


def is_listed(settings: Mapping[str, str], path: str) -> bool:
    """Whether Pulsar still has the tenant or namespace of this path."""
    kind, *names = path.partition("?")[0].split("/")
    match kind, names:
        case "tenants", [tenant]:
            return tenant in admin(settings, "GET", "tenants")
        case "namespaces", [tenant, _]:
            with suppress(Refused):  # the tenant is gone as well
                return "/".join(names) in admin(settings, "GET", f"namespaces/{tenant}")
    return False


def topics(*names: str) -> tuple[Thing, ...]:
    return tuple(Thing("topic", name) for name in names)


def subscriptions(*names: str) -> tuple[Thing, ...]:
    """Each as ``topic/subscription``."""
    return tuple(Thing("subscription", name) for name in names)


HOME = (
    "$jars/org.apache.pulsar/pulsar-server-distribution-4.0.8-bin/apache-pulsar-4.0.8"
)
OFFLOADERS = (
    "$jars/org.apache.pulsar/pulsar-offloader-distribution-4.0.8-bin"
    "/apache-pulsar-offloaders-4.0.8/offloaders"
)
SEVERITIES = ("info", "warning", "error", "critical")
CATALOGUE = (
    *("music.rock.classic", "music.pop.hits", "music.rock.indie"),
    *("music.rock.indie.live", "podcast.news"),
)
STANDALONE_CONF = (
    (ROOT / "config/pulsar/standalone.conf")
    .read_text()
    .replace("offloadersDirectory=offloaders", f"offloadersDirectory={OFFLOADERS}")
    # Without an address, tiered storage is in the broker's own folder, "public" for the
    # tenant of that name. An address could not name every folder: no blanks in it.
    .replace("fileSystemURI=file:///pulsar/data/tiered\n", "")
)
# As bin/pulsar of the distribution opens them.
OPENED = (
    *("java.base/java.io", "java.base/java.nio", "java.base/java.util.zip"),
    *("java.base/jdk.internal.misc", "java.base/jdk.internal.platform"),
    *("java.management/sun.management", "jdk.management/com.sun.management.internal"),
)

PULSAR = Broker(
    name="pulsar",
    title="Pulsar",
    services=("pulsar",),
    ports=(Port("PULSAR_PORT", 6650), Port("PULSAR_ADMIN_PORT", 8080)),
    addresses={
        "PULSAR_SERVICE_URL": "pulsar://localhost:$PULSAR_PORT",
        "PULSAR_ADMIN_URL": "http://localhost:$PULSAR_ADMIN_PORT",
    },
    credentials={},
    page=None,
    software=Jars("pulsar"),
    prepare=(),
    processes=(
        java(
            "-Xmx512m",
            "org.apache.pulsar.PulsarStandaloneStarter",
            *("--config", "standalone.conf", "--no-functions-worker"),
            # Of the metadata it makes a URI, which may have no blanks: a relative one.
            *("--no-stream-storage", "--metadata-url", "rocksdb:data/metadata"),
            options=(
                "-XX:MaxDirectMemorySize=512m",
                *(f"--add-opens={each}=ALL-UNNAMED" for each in OPENED),
                "--enable-native-access=ALL-UNNAMED",
                "-Dio.netty.tryReflectionSetAccessible=true",
                "-Dlog4j.configurationFile=log4j2.yaml",
                "-Dpulsar.log.appender=Console",
                "-Dpulsar.log.root.level=warn",
                "-Dpulsar.log.immediateFlush=true",
            ),
            classpath=f"{HOME}/conf:{HOME}/lib/*",
        ),
    ),
    files={
        "standalone.conf": STANDALONE_CONF
        + """
brokerServicePort=$PULSAR_PORT
webServicePort=$PULSAR_ADMIN_PORT
bindAddress=127.0.0.1
listeningInterface=$loopback
narExtractionDirectory=$home/unpacked
"""
    },
    inner_ports=(),  # the bookie chooses its own, once
    ready_seconds=120,
    # Both ports are open long before the last part of it answers.
    refusal_seconds=120,
    endpoints=endpoints,
    probe=probe,
    check_storage=check_storage,
    contents=contents,
    creates={
        "work-queue": (*topics("music_tasks"), *subscriptions("music_tasks/encoders")),
        "fifo": (*topics("playlist"), *subscriptions("playlist/players")),
        "fanout": (*topics("new_releases"), *subscriptions("new_releases/press")),
        "routing": (
            *(Thing("topic", f"service_logs.{severity}") for severity in SEVERITIES),
            *(
                Thing("subscription", f"service_logs.{severity}/{name}")
                for name in ("_".join(SEVERITIES), "error_critical", "info")
                for severity in name.split("_")
            ),
        ),
        "topic": (
            *(Thing("topic", f"catalogue.{key}") for key in CATALOGUE),
            *(
                Thing("subscription", f"catalogue.{key}/{pattern}")
                for pattern in (".*", "music.rock.*")
                for key in CATALOGUE
                if re.fullmatch(pattern, key)
            ),
        ),
        "headers": topics("booklets"),
        "rpc": (
            *topics("track_metadata", "track_metadata_replies"),
            *subscriptions("track_metadata/metadata_servers"),
        ),
        "dead-letter": (
            *topics("uploads", "live_requests", "latest_hits", "dead_letters"),
            *subscriptions(
                "uploads/upload_encoders",
                "live_requests/hosts",
                "latest_hits/radios",
                "dead_letters/dead_letter_readers",
            ),
        ),
        "confirms": (
            *topics("royalties", "royaltys"),
            *subscriptions("royalties/accountants"),
        ),
        "subscription-types": (
            *topics("artist_plays"),
            *subscriptions("artist_plays/exclusive", "artist_plays/failover"),
            *subscriptions("artist_plays/shared", "artist_plays/key_shared"),
        ),
        "key-shared": (
            *topics("playlist_edits"),
            *subscriptions("playlist_edits/editors"),
        ),
        "reader": (
            *topics("listening_history"),
            *subscriptions("listening_history/statistics"),
        ),
        "delayed": (
            *topics("reminders"),
            *subscriptions("reminders/shared", "reminders/exclusive"),
        ),
        "schema": (*topics("track_plays"), *subscriptions("track_plays/statistics")),
        # The subscription is Pulsar's own: how far it has compacted.
        "compaction": (
            *topics("sound_settings"),
            *subscriptions("sound_settings/__compaction"),
        ),
        "multi-tenancy": (
            *topics("harbour/accounting/payouts", "harbour/accounting/bonuses"),
            *topics("meadow/accounting/payouts"),
            *subscriptions("harbour/accounting/payouts/finance"),
            *subscriptions("meadow/accounting/payouts/finance"),
            *(
                Thing("namespace", f"{tenant}/accounting")
                for tenant in ("harbour", "meadow")
            ),
            *(Thing("tenant", tenant) for tenant in ("harbour", "meadow")),
        ),
        "tiered-storage": topics("listening_archive"),
    },
    delete=delete,
)
