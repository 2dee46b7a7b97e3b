"""Pulsar's row."""

from contextlib import contextmanager

import pulsar

from lab.broker import Thing
from lab.brokers.pulsar import PULSAR as BROKER
from lab.brokers.pulsar import client, contents
from tests.rows.row import Alone, BadSetting, Heard, Row, Settings, Usage
from tests.support import wait_until


@contextmanager
def connected(settings: Settings):
    connection = client(settings)
    try:
        yield connection
    finally:
        connection.close()


def publish(topic: str, *, times: int = 1, **options):
    """A function that sends a body there, and raises where it is not stored.

    With ``times``, small ones follow: so many that a consumer that counts says so.
    """

    def send(settings: Settings, body: bytes) -> None:
        with connected(settings) as connection:
            producer = connection.create_producer(topic, send_timeout_millis=5000)
            for each in [body, *[b"one more"] * (times - 1)]:
                producer.send(each, **options)

    return send


def things(settings: Settings) -> set[Thing]:
    return {content.thing for content in contents(settings)}


@contextmanager
def count_payments(settings: Settings):
    """Read from the beginning: Pulsar's own figures count batches, not messages."""
    with connected(settings) as connection:
        reader = connection.create_reader("royalties", pulsar.MessageId.earliest)
        found = 0

        def count() -> int:
            nonlocal found
            while reader.has_message_available():
                reader.read_next(timeout_millis=5000)
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


def url(value: str) -> dict[str, str]:
    return {"PULSAR_SERVICE_URL": value}


PULSAR = Row(
    broker=BROKER,
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
        Heard("pulsar_consumer.py", publish("music_tasks"), "Encoding {body}"),
        # heard fifo
        # heard fanout
        # heard routing
        # heard topic
        # heard rpc
        # heard headers
        # heard dead-letter
        # heard confirms
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
        # heard schema
        # heard compaction
        # heard multi-tenancy
        # heard tiered-storage
    ),
    refused=(
        # refused fifo
        # refused fanout
        # refused routing
        # refused topic
        # refused rpc
        # refused headers
        # refused dead-letter
        # refused confirms
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
        # refused schema
        # refused compaction
        # refused multi-tenancy
        # refused tiered-storage
    ),
    alone=(
        Alone("pulsar_producer.py", "Sent ", keeps=True),
        # alone fifo
        # alone fanout
        # alone routing
        # alone topic
        # alone rpc
        # alone headers
        # alone dead-letter
        # alone confirms
        Alone("pulsar_subscription_types_producer.py", "Sent ", keeps=False),
        Alone("pulsar_key_shared_producer.py", "Sent ", keeps=True),
        Alone("pulsar_reader_producer.py", "Sent ", keeps=True),
        Alone("pulsar_delayed_producer.py", "Sent ", keeps=True),
        # alone schema
        # alone compaction
        # alone multi-tenancy
        # alone tiered-storage
    ),
    things=things,
    payments=2000,
    count_payments=count_payments,
    rpc_server=rpc_server,
)
