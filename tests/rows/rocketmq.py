"""RocketMQ's row."""

import itertools
import math
import queue
import time
import uuid
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

from rocketmq import (
    FilterExpression,
    Message,
    Producer,
    SimpleConsumer,
    TransactionChecker,
    TransactionResolution,
)
from rocketmq.v5.exception import InternalErrorException

from lab.broker import Thing
from lab.brokers.rocketmq import ROCKETMQ as BROKER
from lab.brokers.rocketmq import broker as broker_connection
from lab.brokers.rocketmq import contents
from lab.remoting import UPDATE_GROUP
from tests.rocketmq_client import configuration, consuming, receive, started
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
from tests.support import wait_until

TASKS, WORKERS = "music_tasks", "encoders"


def message_to(topic: str, body: bytes) -> Message:
    """RocketMQ's client refuses an empty body: a blank is in its place."""
    message = Message()
    message.topic = topic
    message.body = body or b" "
    return message


def send(settings: Settings, topic: str, *bodies: bytes, change=lambda message: None):
    """Send bodies there; ``change`` may give each message a tag or a property."""
    with publish(topic, change=change).connected(settings) as send_one:
        for body in bodies:
            send_one(body)


def publish(topic: str, *, change=lambda message: None) -> Sender:
    """Sends there, and raises where a body is not stored."""

    @contextmanager
    def connected(settings: Settings):
        def send_one(body: bytes) -> None:
            message = message_to(topic, body)
            change(message)
            producer.send(message)

        with started(Producer(configuration(settings), [topic])) as producer:
            yield send_one

    return Sender(connected)


MESSAGE_GROUPS = itertools.count()


def in_message_group(message: Message) -> None:
    """Another one each time: it mostly goes to another queue.

    A queue stays blocked while a killed player holds its message, up to ten seconds,
    also when topic and group are deleted and made anew in between.
    """
    message.message_group = f"playlist-{next(MESSAGE_GROUPS)}"


def tagged(tag: str):
    def change(message: Message) -> None:
        message.tag = tag

    return change


def in_group(name: str):
    """A change that puts a message into a message group."""

    def change(message: Message) -> None:
        message.message_group = name

    return change


def with_properties(**properties: str):
    def change(message: Message) -> None:
        for name, value in properties.items():
            message.add_property(name, value)

    return change


def at(seconds: float):
    """A change that has a message delivered then, and not before."""

    def change(message: Message) -> None:
        message.delivery_timestamp = math.ceil(time.time() + seconds)

    return change


def at_once(message: Message) -> None:
    message.delivery_timestamp = int(time.time())


def with_priority(number: int):
    def change(message: Message) -> None:
        message.priority = number

    return change


def flood(topic: str, count: int) -> Sender:
    """After each body come small ones: so many that a consumer that counts says so."""

    @contextmanager
    def connected(settings: Settings):
        def send_all(body: bytes) -> None:
            sent = [
                producer.send_async(message_to(topic, each))
                for each in (body, *[b"one more"] * (count - 1))
            ]
            for each in sent:
                each.result()

        with started(Producer(configuration(settings), [topic])) as producer:
            yield send_all

    return Sender(connected)


def commit(topic: str) -> Sender:
    """Each body in a transaction of its own, which is committed."""

    class Checker(TransactionChecker):
        def check(self, message):
            return TransactionResolution.ROLLBACK

    @contextmanager
    def connected(settings: Settings):
        def send_one(body: bytes) -> None:
            transaction = producer.begin_transaction()
            producer.send(message_to(topic, body), transaction)
            transaction.commit()

        with started(Producer(configuration(settings), [topic], Checker())) as producer:
            yield send_one

    return Sender(connected)


def things(settings: Settings) -> set[Thing]:
    found = {content.thing for content in contents(settings)}
    return {thing for thing in found if not thing.name.startswith("%RETRY%")}


def kept(settings: Settings, topic: str) -> int:
    """How many messages are there: a topic's offsets are the broker's own count."""
    found = {content.thing: content.messages for content in contents(settings)}
    return found.get(Thing("topic", topic)) or 0


@contextmanager
def count_payments(settings: Settings):
    yield lambda: kept(settings, "royalties")


class Server:
    """As ``tests.rows.row.RpcServer``."""

    def __init__(self, consumer: SimpleConsumer, settings: Settings):
        self.consumer = consumer
        self.settings = settings
        self.request: Message | None = None

    def wait_for_request(self) -> None:
        def arrived() -> bool:
            with suppress(InternalErrorException):  # right after its start
                if received := self.consumer.receive(1, 10):
                    (self.request,) = received
                    self.consumer.ack(self.request)
                    return True
            return False

        wait_until(arrived)

    def reply(self, text: str, *, stale: bool = False) -> None:
        properties = dict(self.request.properties)
        if stale:
            properties["correlation_id"] = "other"
        change = with_properties(**properties)
        send(self.settings, "track_metadata_replies", text.encode(), change=change)


@contextmanager
def rpc_server(settings: Settings):
    consumer = SimpleConsumer(
        configuration(settings),
        "metadata_servers",
        {"track_metadata": FilterExpression()},
        await_duration=1,
    )
    with started(consumer):
        yield Server(consumer, settings)


class Client:
    """As ``tests.rows.row.Client``."""

    def send(self, settings, bodies, confirmed) -> None:
        unsent, on_their_way = deque(bodies), {}
        answered, failed = queue.Queue(), []
        with started(Producer(configuration(settings), [TASKS])) as producer:
            while unsent or on_their_way:
                if unsent and len(on_their_way) < ON_THEIR_WAY and answered.empty():
                    message = Message()
                    message.topic, message.body = TASKS, unsent.popleft()
                    receipt = producer.send_async(message)
                    on_their_way[receipt] = message.body
                    receipt.add_done_callback(answered.put)
                    continue
                receipt = answered.get()
                body = on_their_way.pop(receipt)
                if error := receipt.exception():
                    failed.append(error)
                    unsent.clear()
                else:
                    confirmed(body)
        if failed:
            raise failed[0]

    def read_all(self, settings) -> list[bytes]:
        group = f"auditors-{uuid.uuid4()}"
        with broker_connection(settings) as connection:
            connection.ask(UPDATE_GROUP, {"groupName": group, "consumeEnable": True})
        found, count = [], kept(settings, TASKS)
        with (
            consuming(settings, group, TASKS) as consumer,
            ThreadPoolExecutor(32) as threads,  # one after the other takes 9 ms each
        ):
            while len(found) < count:
                messages = receive(consumer, 32)
                list(threads.map(consumer.ack, messages))
                found += [message.body for message in messages]
        BROKER.delete(settings, [Thing("consumer group", group)])
        return found

    @contextmanager
    def consuming(self, settings):
        with consuming(settings, WORKERS, TASKS) as consumer:
            early = receive(consumer)  # only now the proxy knows it

            def take(seconds: float) -> bytes | None:
                deadline = time.monotonic() + seconds
                while time.monotonic() < deadline:
                    for message in early or consumer.receive(1, 10) or ():
                        early.clear()
                        consumer.ack(message)
                        return message.body
                return None

            yield take

    def told_after_a_death(self, settings) -> str:
        with consuming(settings, WORKERS, TASKS) as dead:
            while not (received := receive(dead)):
                pass
        (task,) = received
        with consuming(settings, WORKERS, TASKS) as consumer:
            while True:
                for message in receive(consumer):
                    consumer.ack(message)
                    if message.message_id == task.message_id:
                        return told(flag=False, count=message.delivery_attempt)


def endpoints(value: str) -> dict[str, str]:
    return {"ROCKETMQ_ENDPOINTS": value}


ROCKETMQ = Row(
    broker=BROKER,
    lanes=2,
    slow_lanes=6,
    bad_settings=(
        BadSetting(
            "down",
            lambda settings, silent: endpoints("localhost:1"),
            ("localhost:1", "no proxy answers", "python -m lab status rocketmq"),
            "nothing listens on localhost:1",
        ),
        BadSetting(
            "silent port",
            lambda settings, silent: endpoints(f"localhost:{silent}"),
            ("python -m lab status rocketmq",),
            "does not speak gRPC",
        ),
        BadSetting(
            "unknown host",
            lambda settings, silent: endpoints("no-such-host.invalid:8081"),
            ("no-such-host.invalid", "python -m lab status rocketmq"),
            "host name no-such-host.invalid is unknown",
        ),
        BadSetting(
            "the name server's port",
            lambda settings, silent: endpoints(settings["ROCKETMQ_NAMESRV_ADDR"]),
            ("8081 is its port, 9876 the name server's", "python -m lab status"),
            "9876 is the name server's",
        ),
        *(
            BadSetting(
                f"malformed address {number}",
                lambda settings, silent, bad=bad: endpoints(bad),
                ("ROCKETMQ_ENDPOINTS is malformed", ".env.example"),
                "ROCKETMQ_ENDPOINTS is malformed",
            )
            for number, bad in enumerate(
                (
                    *("localhost", "localhost:port", "[::1]:8081"),
                    *("localhost:8081;127.0.0.1:8081", "localhost:8081;"),
                )
            )
        ),
    ),
    secret=None,
    heard=(
        Heard(
            "rocketmq_fifo_consumer.py",
            publish("playlist_single", change=in_message_group),
            "Playing {body}",
        ),
        Heard("rocketmq_consumer.py", publish("music_tasks"), "Encoding {body}"),
        Heard("rocketmq_fanout_consumer.py", publish("new_releases"), "Heard {body}"),
        Heard(
            "rocketmq_routing_consumer.py",
            publish("service_logs", change=tagged("critical")),
            "Received critical: {body}",
        ),
        Heard(
            "rocketmq_topic_consumer.py",
            publish("catalogue", change=with_properties(key="music.live", words="2")),
            "Received music.live: {body}",
        ),
        Heard(
            "rocketmq_headers_consumer.py",
            publish("booklets", change=with_properties(format="pdf", language="fr")),
            "Received {body} (pdf fr)",
        ),
        Heard("rocketmq_rpc_server.py", publish("track_metadata"), "Looking up {body}"),
        Heard(
            "rocketmq_dead_letter_consumer.py",
            publish("uploads"),
            "Failed {body}, attempt 1",
        ),
        Heard(
            "rocketmq_dead_letter_reader.py",
            publish("%DLQ%upload_encoders"),
            "Read {body}: given up by upload_encoders",
        ),
        Heard(
            "rocketmq_confirms_consumer.py",
            flood("royalties", 500),
            "Received * payments",
        ),
        Heard(
            "rocketmq_transaction_consumer.py", commit("purchases"), "Unlocked {body}"
        ),
        Heard(
            "rocketmq_sql_filter_consumer.py",
            publish("new_tracks", change=with_properties(bpm="101")),
            "Received {body}",
        ),
        Heard(
            "rocketmq_order_consumer.py",
            publish("vinyl_orders", change=in_group("order 3")),
            "Did {body}, attempt *",
        ),
        Heard(
            "rocketmq_delayed_consumer.py",
            publish("reminders", change=at_once),
            "Reminded of {body}",
        ),
        Heard(
            "rocketmq_priority_consumer.py",
            publish("song_requests", change=with_priority(0)),
            "Playing {body}",
        ),
    ),
    refused=(
        Usage("rocketmq_fifo_producer.py", ("sideways",)),
        Usage("rocketmq_fifo_consumer.py", ("single", "plain")),
        Usage("rocketmq_fanout_consumer.py", ("listener_4",)),
        Usage("rocketmq_routing_consumer.py", ("loud",)),
        Usage("rocketmq_routing_consumer.py", ("error", "Critical")),
        Usage("rocketmq_topic_consumer.py", ("music.rock.*",)),
        Usage("rocketmq_topic_consumer.py", ("archive",)),
        Usage("rocketmq_topic_consumer.py", ("rock_radio", "#.live")),
        Usage("rocketmq_topic_consumer.py", ("rock_radio", "music..rock")),
        Usage("rocketmq_topic_consumer.py", ("rock_radio", "it's")),
        Usage("rocketmq_headers_consumer.py", ("all",)),
        Usage("rocketmq_headers_consumer.py", ("none", "format=pdf")),
        Usage("rocketmq_headers_consumer.py", ("format=pdf",)),
        Usage("rocketmq_headers_consumer.py", ("any", "format=pdf", "language")),
        Usage("rocketmq_headers_consumer.py", ("any", "=pdf")),
        Usage("rocketmq_confirms_async_producer.py", ("many",)),
        Usage("rocketmq_confirms_async_producer.py", ("0",)),
        Usage("rocketmq_transaction_producer.py", ("again",)),
        Usage("rocketmq_transaction_producer.py", ("resume", "resume")),
        Usage("rocketmq_sql_filter_consumer.py", ("party",)),
        Usage("rocketmq_sql_filter_consumer.py", ("bpm > 100",)),
        Usage("rocketmq_sql_filter_consumer.py", ("radio", " ")),
    ),
    alone=(
        Alone("rocketmq_producer.py", "Sent ", keeps=True),
        Alone("rocketmq_fifo_producer.py", "Sent ", keeps=True),
        Alone("rocketmq_fanout_producer.py", "Announced ", keeps=True),
        Alone("rocketmq_routing_producer.py", "Sent ", keeps=True),
        Alone("rocketmq_topic_producer.py", "Sent ", keeps=True),
        Alone("rocketmq_headers_producer.py", "Sent ", keeps=True),
        Alone("rocketmq_dead_letter_producer.py", "Sent ", keeps=True),
        Alone("rocketmq_transaction_producer.py", "", keeps=True),
        Alone("rocketmq_sql_filter_producer.py", "Sent ", keeps=True),
        Alone("rocketmq_order_producer.py", "Sent ", keeps=True),
        Alone("rocketmq_delayed_producer.py", "Sent ", keeps=True),
        Alone("rocketmq_priority_producer.py", "Sent ", keeps=True),
    ),
    things=things,
    payments=500,
    count_payments=count_payments,
    rpc_server=rpc_server,
    client=Client(),
    # Its client takes several addresses only as numbers.
    first_down=lambda settings: endpoints(
        f"127.0.0.1:1;127.0.0.1:{settings['ROCKETMQ_PROXY_PORT']}"
    ),
    from_the_beginning=(),
    without_order=(("plain",), ("plain",)),
    active_player=False,  # who asks first gets the next track
    open_ports=3,  # the proxy's two and the broker's for copies of its data
    raises_plain_exceptions=True,
)
