"""Pulsar's row."""

import os
import queue
from contextlib import contextmanager, suppress
from functools import partial
from itertools import islice

import pulsar

from lab.broker import Thing
from lab.brokers.pulsar import HOME_NAMESPACE, contents, topics_by_namespace
from lab.brokers.pulsar import PULSAR as BROKER
from tests.rows.row import (
    ON_THEIR_WAY,
    Alone,
    BadSetting,
    Heard,
    Row,
    Sender,
    Settings,
    Usage,
    told,
)
from tests.support import PATIENCE, wait_until

TASKS = "music_tasks"
PATIENT = {"timeout_millis": PATIENCE * 1000}


def patient_client(settings: Settings) -> pulsar.Client:
    """As the lab's client, but patient: a broker that has just started may be slow."""
    return pulsar.Client(
        settings["PULSAR_SERVICE_URL"],
        operation_timeout_seconds=PATIENCE,
        logger=pulsar.FileLogger(pulsar.LoggerLevel.Error, os.devnull),
    )


@contextmanager
def connected(settings: Settings):
    connection = patient_client(settings)
    try:
        yield connection
    finally:
        connection.close()
        # Each of them refers to the client, and keeps files open with it.
        connection._consumers.clear()


def publish(topic: str, *, times: int = 1, **options) -> Sender:
    """Sends there, and raises where a body is not stored.

    With ``times``, small ones follow: so many that a consumer that counts says so.
    """

    @contextmanager
    def connected_to_topic(settings: Settings):
        def send(body: bytes) -> None:
            producer = connection.create_producer(topic, block_if_queue_full=True)
            producer.send(body, **options)
            for _ in range(times - 1):
                producer.send_async(b"one more", lambda *_: None, **options)
            producer.flush()
            producer.close()

        with connected(settings) as connection:
            # It connects when it is first asked for something. A producer comes later:
            # it would make the topic.
            connection.get_topic_partitions("any")
            yield send

    return Sender(connected_to_topic)


def things(settings: Settings) -> set[Thing]:
    namespaces = topics_by_namespace(settings).keys() - {HOME_NAMESPACE}
    tenants = {namespace.partition("/")[0] for namespace in namespaces}
    return (
        {content.thing for content in contents(settings)}
        | {Thing("namespace", namespace) for namespace in namespaces}
        | {Thing("tenant", tenant) for tenant in tenants}
    )


@contextmanager
def count_payments(settings: Settings):
    """Read from the beginning: Pulsar's own figures count batches, not messages."""
    with connected(settings) as connection:
        reader = connection.create_reader("royalties", pulsar.MessageId.earliest)
        found = 0

        def count() -> int:
            nonlocal found
            while reader.has_message_available():
                reader.read_next(**PATIENT)
                found += 1
            return found

        yield count


class Server:
    """As ``tests.rows.row.RpcServer``."""

    def __init__(self, connection: pulsar.Client):
        self.connection = connection
        self.consumer = connection.subscribe("track_metadata", "server of the test")
        self.request: pulsar.Message | None = None

    def wait_for_request(self) -> None:
        def arrived() -> bool:
            try:
                self.request = self.consumer.receive(timeout_millis=100)
            except pulsar.Timeout:
                return False
            self.consumer.acknowledge(self.request)
            return True

        wait_until(arrived)

    def reply(self, text: str, *, stale: bool = False) -> None:
        properties = self.request.properties()
        producer = self.connection.create_producer(properties["reply_to"])
        request_id = "other" if stale else properties["correlation_id"]
        producer.send(text.encode(), {"correlation_id": request_id})


@contextmanager
def rpc_server(settings: Settings):
    with connected(settings) as connection:
        server = Server(connection)
        yield server
        server.consumer.unsubscribe()


def worker_of(connection: pulsar.Client) -> pulsar.Consumer:
    shared, earliest = pulsar.ConsumerType.Shared, pulsar.InitialPosition.Earliest
    return connection.subscribe(
        TASKS, "encoders", shared, initial_position=earliest, receiver_queue_size=1
    )


class Client:
    """As ``tests.rows.row.Client``."""

    def send(self, settings, bodies, confirmed) -> None:
        answers = queue.SimpleQueue()
        waiting = iter(bodies)
        failures = []

        def send_some(most: int) -> int:
            """How many there were, up to so many."""
            sent = list(islice(waiting, most))
            for body in sent:
                # The client's own thread calls it: it only puts the answer aside.
                producer.send_async(body, partial(answer, body))
            return len(sent)

        def answer(body: bytes, result: pulsar.Result, _) -> None:
            answers.put((body, result))

        connection = patient_client(settings)
        producer = connection.create_producer(TASKS, send_timeout_millis=10_000)
        try:
            on_their_way = send_some(ON_THEIR_WAY)
            # Also after a failure each answer is waited for.
            while on_their_way:
                body, result = answers.get()
                on_their_way -= 1
                if result == pulsar.Result.Ok:
                    confirmed(body)
                else:
                    failures.append(getattr(pulsar.exceptions, result.name))
                if not failures:
                    on_their_way += send_some(1)
        finally:
            with suppress(pulsar.PulsarException):
                connection.close()
        if failures:
            raise failures[0]

    def read_all(self, settings) -> list[bytes]:
        found = []
        with connected(settings) as connection:
            reader = connection.create_reader(TASKS, pulsar.MessageId.earliest)
            while reader.has_message_available():
                found.append(reader.read_next(**PATIENT).data())
        return found

    @contextmanager
    def consuming(self, settings):
        connection = patient_client(settings)
        consumer = worker_of(connection)

        def take(seconds: float) -> bytes | None:
            try:
                message = consumer.receive(timeout_millis=int(seconds * 1000))
            except pulsar.Timeout:
                return None
            consumer.acknowledge(message)
            return message.data()

        yield take
        with suppress(pulsar.PulsarException):
            connection.close()

    def told_after_a_death(self, settings) -> str:
        with connected(settings) as others:
            with connected(settings) as connection:
                first = worker_of(connection).receive(**PATIENT)
                # There before the death: without a consumer a count would be forgotten.
                other = worker_of(others)
            while (again := other.receive(**PATIENT)).data() != first.data():
                other.acknowledge(again)
        before = again.redelivery_count()
        return told(flag=before > 0, count=before + 1 if before else None)


def url(value: str) -> dict[str, str]:
    return {"PULSAR_SERVICE_URL": value}


PULSAR = Row(
    broker=BROKER,
    slow_lanes=3,
    bad_settings=(
        BadSetting(
            "down",
            lambda settings, silent: url("pulsar://localhost:1"),
            ("localhost:1", "TimeOut", "python -m lab status pulsar"),
            "nothing listens on localhost:1.",
        ),
        BadSetting(
            "silent port",
            lambda settings, silent: url(f"pulsar://localhost:{silent}"),
            ("ConnectError", "python -m lab status pulsar"),
            "does not answer in Pulsar's protocol",
        ),
        BadSetting(
            "unknown host",
            lambda settings, silent: url("pulsar://no-such-host.invalid:6650"),
            ("no-such-host.invalid", "python -m lab status pulsar"),
            "host name no-such-host.invalid is unknown",
        ),
        *(
            BadSetting(
                f"malformed address {number}",
                lambda settings, silent, bad=bad: url(bad),
                ("PULSAR_SERVICE_URL is malformed", ".env.example"),
                "PULSAR_SERVICE_URL is malformed",
            )
            for number, bad in enumerate(
                (
                    *("localhost:6650", "pulsar://localhost"),
                    *("pulsar://localhost:port", "pulsar://localhost:6650,"),
                )
            )
        ),
    ),
    secret=None,
    heard=(
        Heard("pulsar_fifo_consumer.py", publish("playlist"), "Playing {body}"),
        Heard("pulsar_consumer.py", publish("music_tasks"), "Encoding {body}"),
        Heard("pulsar_fanout_consumer.py", publish("new_releases"), "Heard {body}"),
        Heard(
            "pulsar_routing_consumer.py",
            publish("service_logs.critical"),
            "Received critical: {body}",
        ),
        Heard(
            "pulsar_topic_consumer.py",
            publish("catalogue.music.rock.classic"),
            "Received music.rock.classic: {body}",
        ),
        Heard(
            "pulsar_headers_consumer.py",
            publish("booklets", properties={"format": "pdf", "language": "fr"}),
            "Received {body} (pdf fr)",
        ),
        Heard("pulsar_rpc_server.py", publish("track_metadata"), "Looking up {body}"),
        Heard(
            "pulsar_dead_letter_consumer.py",
            publish("uploads"),
            "Rejected {body}, attempt 1",
        ),
        Heard(
            "pulsar_dead_letter_reader.py",
            publish("dead_letters"),
            "Read {body}: no dead letter, sent here",
        ),
        Heard(
            "pulsar_confirms_consumer.py",
            publish("royalties", times=2000),
            "Received * payments",
        ),
        Heard(
            "pulsar_subscription_types_consumer.py",
            publish("artist_plays"),
            "Received nobody, {body}",
        ),
        Heard(
            "pulsar_key_shared_consumer.py",
            publish("playlist_edits", partition_key="party"),
            "Applying party {body}",
        ),
        Heard(
            "pulsar_reader_consumer.py", publish("listening_history"), "Read *: {body}"
        ),
        Heard(
            "pulsar_reader_seek_consumer.py",
            publish("listening_history"),
            "Counted {body}",
        ),
        Heard("pulsar_delayed_consumer.py", publish("reminders"), "Reminded of {body}"),
        Heard(
            "pulsar_schema_consumer.py",
            publish("track_plays"),
            "Skipped {body}: no play",
        ),
        Heard(
            "pulsar_compaction_consumer.py",
            publish("sound_settings", partition_key="anna"),
            "Read anna {body}",
        ),
        Heard(
            "pulsar_table_view_consumer.py",
            publish("sound_settings", partition_key="anna"),
            "anna: {body}",
        ),
        Heard(
            "pulsar_multi_tenancy_consumer.py",
            publish("persistent://harbour/accounting/payouts"),
            "Paid {body}",
        ),
        Heard(
            "pulsar_tiered_storage_consumer.py",
            publish("listening_archive"),
            "Read {body} from the bookie",
        ),
    ),
    refused=(
        Usage("pulsar_fifo_consumer.py", ("split",)),
        Usage("pulsar_fifo_consumer.py", ("failover", "shared")),
        Usage("pulsar_fanout_consumer.py", ("press", "radio")),
        Usage("pulsar_routing_consumer.py", ("loud",)),
        Usage("pulsar_routing_consumer.py", ("error", "Critical")),
        Usage("pulsar_topic_consumer.py", ("music.(",)),
        Usage("pulsar_topic_consumer.py", ("#",)),
        Usage("pulsar_topic_consumer.py", ("(?P<word>music).*",)),
        Usage("pulsar_topic_consumer.py", ("music/.*",)),
        Usage("pulsar_headers_consumer.py", ("all",)),
        Usage("pulsar_headers_consumer.py", ("none", "format=pdf")),
        Usage("pulsar_headers_consumer.py", ("format=pdf",)),
        Usage("pulsar_headers_consumer.py", ("any", "format=pdf", "language")),
        Usage("pulsar_headers_consumer.py", ("any", "=pdf")),
        Usage("pulsar_confirms_async_producer.py", ("many",)),
        Usage("pulsar_confirms_async_producer.py", ("0",)),
        Usage("pulsar_confirms_async_producer.py", ("2001",)),
        Usage("pulsar_subscription_types_consumer.py", ("private",)),
        Usage("pulsar_subscription_types_consumer.py", ("shared", "failover")),
        Usage("pulsar_reader_consumer.py", ("yesterday",)),
        Usage("pulsar_reader_consumer.py", ("0",)),
        Usage("pulsar_reader_consumer.py", ("9" * 19,)),
        Usage("pulsar_reader_seek_consumer.py", ("first",)),
        Usage("pulsar_reader_seek_consumer.py", ("10",)),
        Usage("pulsar_reader_seek_consumer.py", ("-1m",)),
        Usage("pulsar_reader_seek_consumer.py", ("1234567890m",)),
        Usage("pulsar_delayed_consumer.py", ("later",)),
        Usage("pulsar_delayed_consumer.py", ("shared", "exclusive")),
        Usage("pulsar_multi_tenancy_consumer.py", ("harbour", "meadow")),
        Usage("pulsar_multi_tenancy_consumer.py", ("west",)),
    ),
    alone=(
        Alone("pulsar_producer.py", "Sent ", keeps=True),
        Alone("pulsar_fifo_producer.py", "Sent ", keeps=True),
        Alone("pulsar_fanout_producer.py", "Announced ", keeps=False),
        Alone("pulsar_routing_producer.py", "Sent ", keeps=False),
        Alone("pulsar_topic_producer.py", "Sent ", keeps=False),
        Alone("pulsar_headers_producer.py", "Sent ", keeps=False),
        Alone("pulsar_dead_letter_producer.py", "Sent ", keeps=True),
        Alone("pulsar_subscription_types_producer.py", "Sent ", keeps=False),
        Alone("pulsar_key_shared_producer.py", "Sent ", keeps=True),
        Alone("pulsar_reader_producer.py", "Sent ", keeps=True),
        Alone("pulsar_delayed_producer.py", "Sent ", keeps=True),
        Alone("pulsar_schema_producer.py", "Sent ", keeps=True),
        Alone("pulsar_compaction_producer.py", "", keeps=True),
        Alone("pulsar_multi_tenancy_producer.py", "", keeps=True),
        Alone("pulsar_tiered_storage_producer.py", "", keeps=True),
    ),
    things=things,
    payments=2000,
    count_payments=count_payments,
    rpc_server=rpc_server,
    client=Client(),
    first_down=lambda settings: url(
        settings["PULSAR_SERVICE_URL"].replace("://", "://localhost:1,")
    ),
    from_the_beginning=(),
    without_order=(("shared",), ()),
)
