"""RabbitMQ's row."""

import itertools
import time
import uuid
from collections import deque
from contextlib import contextmanager, suppress
from functools import partial

import pika

from lab.broker import Thing
from lab.brokers.rabbitmq import RABBITMQ as BROKER
from lab.brokers.rabbitmq import connect, management
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

TASKS = "music_tasks"
LASTING = pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent)


@contextmanager
def channel_to(settings: Settings):
    with connect(settings) as connection:
        yield connection.channel()


def publish(exchange: str, key: str, *, times: int = 1, **properties) -> Sender:
    """Sends there, and raises where no queue takes a body.

    With ``times``, small ones follow: so many that a consumer that counts says so.
    """

    @contextmanager
    def connected(settings: Settings):
        def send(body: bytes) -> None:
            channel = connection.channel()
            bodies = [body, *[b"one more"] * (times - 1)]
            for number, each in enumerate(bodies):
                if number == times - 1:
                    channel.confirm_delivery()
                channel.basic_publish(
                    exchange,
                    key,
                    each,
                    pika.BasicProperties(**properties),
                    mandatory=True,
                )
            channel.close()

        with connect(settings) as connection:
            yield send

    return Sender(connected)


def things(settings: Settings) -> set[Thing]:
    queues = {Thing("queue", q["name"]) for q in management(settings, "queues/%2F")}
    exchanges = {
        Thing("exchange", x["name"], keeps_messages=False)
        for x in management(settings, "exchanges/%2F")
        if x["name"] and not x["name"].startswith("amq.")
    }
    return queues | exchanges


def make_lasting(settings: Settings) -> None:
    """What has been declared survives a SIGKILL from now on.

    RabbitMQ 3 may forget what was declared last: docs/faults.md. Now that is another
    thing.
    """
    with channel_to(settings) as channel:
        channel.exchange_declare("last", durable=True)
        channel.exchange_delete("last")


@contextmanager
def count_payments(settings: Settings):
    with channel_to(settings) as channel:

        def count() -> int:
            declared = channel.queue_declare("royalties", durable=True)
            return declared.method.message_count

        count()
        make_lasting(settings)
        yield count


class Server:
    """As ``tests.rows.row.RpcServer``."""

    def __init__(self, channel):
        self.channel = channel
        channel.queue_declare("track_metadata", durable=True)
        self.request: pika.BasicProperties | None = None

    def wait_for_request(self) -> None:
        def arrived() -> bool:
            _, self.request, _ = self.channel.basic_get("track_metadata", True)
            return self.request is not None

        wait_until(arrived)

    def reply(self, text: str, *, stale: bool = False) -> None:
        request_id = str(uuid.uuid4()) if stale else self.request.correlation_id
        properties = pika.BasicProperties(correlation_id=request_id, type="metadata")
        self.channel.basic_publish("", self.request.reply_to, text.encode(), properties)


@contextmanager
def rpc_server(settings: Settings):
    with channel_to(settings) as channel:
        yield Server(channel)


class Client:
    """As ``tests.rows.row.Client``."""

    def send(self, settings, bodies, confirmed) -> None:
        # The blocking connection would wait for each confirm.
        unconfirmed: dict[int, bytes] = {}
        waiting = deque(bodies)
        ended: list[BaseException] = []

        def fill(channel) -> None:
            while waiting and len(unconfirmed) < ON_THEIR_WAY:
                unconfirmed[next(tags)] = waiting[0]
                body = waiting.popleft()
                channel.basic_publish("", TASKS, body, LASTING, mandatory=True)
            if not unconfirmed:
                channel.connection.close()

        def on_confirm(channel, frame) -> None:
            last = frame.method.delivery_tag
            multiple = frame.method.multiple
            for tag in [t for t in unconfirmed if t == last or (multiple and t < last)]:
                confirmed(unconfirmed.pop(tag))
            fill(channel)

        def on_return(channel, *_) -> None:
            raise AssertionError(f"no queue {TASKS}")

        def on_open(channel) -> None:
            channel.add_on_return_callback(on_return)
            channel.confirm_delivery(partial(on_confirm, channel))
            fill(channel)

        def end(connection, why) -> None:
            ended.append(why)
            connection.ioloop.stop()

        tags = itertools.count(1)
        connection = pika.SelectConnection(
            pika.URLParameters(settings["RABBITMQ_URLS"]),
            on_open_callback=lambda c: c.channel(on_open_callback=on_open),
            on_open_error_callback=end,
            on_close_callback=end,
        )
        connection.ioloop.start()
        connection.ioloop.close()
        if waiting or unconfirmed:
            raise ended[0]

    def read_all(self, settings) -> list[bytes]:
        found = []
        with channel_to(settings) as channel:
            while (answer := channel.basic_get(TASKS, auto_ack=True))[0]:
                found.append(answer[2])
        return found

    @contextmanager
    def consuming(self, settings):
        connection = connect(settings)
        channel = connection.channel()
        tasks = channel.consume(TASKS, inactivity_timeout=0.1)
        next(tasks)  # only now is it a consumer

        def take(seconds: float) -> bytes | None:
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline:
                method, _, body = next(tasks)
                if method:
                    channel.basic_ack(method.delivery_tag)
                    return body
            return None

        yield take
        with suppress(pika.exceptions.AMQPError):
            connection.close()

    def told_after_a_death(self, settings) -> str:
        with channel_to(settings) as channel:
            assert channel.basic_get(TASKS)[0]
        with channel_to(settings) as channel:
            found = []

            def again() -> bool:
                found[:] = channel.basic_get(TASKS, auto_ack=True)
                return found[0] is not None

            wait_until(again)
        method, properties, _ = found
        flag = method.redelivered
        count = (properties.headers or {}).get("x-delivery-count")
        return told(flag=flag, count=count)


def url(settings: Settings, old: str, new: str) -> dict[str, str]:
    changed = settings["RABBITMQ_URLS"].replace(old, new)
    assert changed != settings["RABBITMQ_URLS"]
    return {"RABBITMQ_URLS": changed}


def port(settings: Settings, number: int) -> dict[str, str]:
    return url(settings, f":{settings['RABBITMQ_PORT']}", f":{number}")


RABBITMQ = Row(
    broker=BROKER,
    make_lasting=make_lasting,
    bad_settings=(
        BadSetting(
            "down",
            lambda settings, silent: port(settings, 1),
            ("localhost:1", "AMQPConnectionError", "python -m lab status rabbitmq"),
            "nothing listens on localhost:1.",
        ),
        BadSetting(
            "silent port",
            port,
            ("python -m lab status rabbitmq",),
            "does not speak AMQP",
        ),
        BadSetting(
            "wrong password",
            lambda settings, silent: url(settings, "guest:guest", "guest:s3cret"),
            ("ProbableAuthenticationError", "python -m lab status rabbitmq"),
            "refuses the login of user guest",
        ),
        BadSetting(
            "wrong virtual host",
            lambda settings, silent: url(settings, "%2F", "no-such-vhost"),
            ("ProbableAccessDeniedError", "python -m lab status rabbitmq"),
            "no virtual host no-such-vhost",
        ),
        BadSetting(
            "unknown host",
            lambda settings, silent: url(settings, "localhost", "no-such-host.invalid"),
            ("no-such-host.invalid", "python -m lab status rabbitmq"),
            "host name no-such-host.invalid is unknown",
        ),
        *(
            BadSetting(
                f"malformed URL {number}",
                lambda settings, silent, bad=bad: {"RABBITMQ_URLS": bad},
                ("RABBITMQ_URLS is malformed", ".env.example"),
                "RABBITMQ_URLS is malformed",
            )
            for number, bad in enumerate(
                (
                    "localhost",
                    "localhost:5672",
                    "amqp://guest@localhost",
                    "amqp://guest:s3cret@localhost:port/",
                    "amqp://guest:s3cret@localhost?no_such_option=1",
                )
            )
        ),
    ),
    secret="s3cret",
    heard=(
        Heard(
            "rabbitmq_fifo_consumer.py",
            publish("", "playlist_single"),
            "Playing {body}",
        ),
        Heard(
            "rabbitmq_headers_consumer.py",
            publish("booklets", "", headers={"format": "pdf", "language": "fr"}),
            "Received {body} (pdf fr)",
        ),
        Heard(
            "rabbitmq_dead_letter_consumer.py",
            publish("", "uploads"),
            "Rejected {body}",
        ),
        Heard(
            "rabbitmq_dead_letter_reader.py",
            publish("dead_letters", ""),
            "Read {body}: no dead letter, sent here",
        ),
        Heard(
            "rabbitmq_stream_consumer.py",
            publish("", "listening_history"),
            "Read *: {body}",
        ),
        Heard(
            "rabbitmq_quorum_consumer.py",
            publish("", "imports"),
            "Importing {body}, attempt 1",
        ),
        Heard(
            "rabbitmq_priority_consumer.py",
            publish("", "song_requests"),
            "Playing {body}",
        ),
        Heard(
            "rabbitmq_retry_consumer.py",
            publish("", "downloads"),
            "Downloading {body}, attempt 1",
        ),
        Heard(
            "rabbitmq_long_task_consumer.py",
            publish("", "albums"),
            "Encoding {body}",
            is_hasty=True,
        ),
        Heard(
            "rabbitmq_long_task_naive_consumer.py",
            publish("", "albums"),
            "Encoding {body}",
            takes_the_next=False,
            is_hasty=True,
        ),
        Heard(
            "rabbitmq_confirms_consumer.py",
            publish("", "royalties", times=5000),
            "Received * payments",
        ),
        Heard("rabbitmq_consumer.py", publish("", "music_tasks"), "Encoding {body}"),
        Heard(
            "rabbitmq_fanout_consumer.py", publish("new_releases", ""), "Heard {body}"
        ),
        Heard(
            "rabbitmq_routing_consumer.py",
            publish("service_logs", "critical"),
            "Received critical: {body}",
        ),
        Heard(
            "rabbitmq_topic_consumer.py",
            publish("catalogue", "music.rock.classic"),
            "Received music.rock.classic: {body}",
        ),
        Heard(
            "rabbitmq_rpc_server.py", publish("", "track_metadata"), "Looking up {body}"
        ),
    ),
    refused=(
        Usage("rabbitmq_routing_consumer.py", ("loud",)),
        Usage("rabbitmq_routing_consumer.py", ("error", "Critical")),
        Usage("rabbitmq_topic_consumer.py", ("x" * 256,)),
        Usage("rabbitmq_fifo_producer.py", ("sideways",)),
        Usage("rabbitmq_fifo_consumer.py", ("single", "plain")),
        Usage("rabbitmq_headers_consumer.py", ("all",)),
        Usage("rabbitmq_headers_consumer.py", ("none", "format=pdf")),
        Usage("rabbitmq_headers_consumer.py", ("format=pdf",)),
        Usage("rabbitmq_headers_consumer.py", ("any", "format=pdf", "language")),
        Usage("rabbitmq_headers_consumer.py", ("any", "=pdf")),
        Usage("rabbitmq_stream_consumer.py", ("yesterday",)),
        Usage("rabbitmq_stream_consumer.py", ("-1",)),
        Usage("rabbitmq_confirms_async_producer.py", ("many",)),
        Usage("rabbitmq_confirms_async_producer.py", ("0",)),
    ),
    alone=(
        Alone("rabbitmq_producer.py", "Sent ", keeps=True),
        Alone("rabbitmq_fifo_producer.py", "Sent ", keeps=True),
        Alone("rabbitmq_dead_letter_producer.py", "Sent ", keeps=True),
        Alone("rabbitmq_stream_producer.py", "Sent ", keeps=True),
        Alone("rabbitmq_quorum_producer.py", "Sent ", keeps=True),
        Alone("rabbitmq_priority_producer.py", "Sent ", keeps=True),
        Alone("rabbitmq_retry_producer.py", "Sent ", keeps=True),
        Alone("rabbitmq_long_task_producer.py", "Sent ", keeps=True),
        Alone("rabbitmq_headers_producer.py", "Nobody asked for ", keeps=False),
        Alone("rabbitmq_fanout_producer.py", "Nobody listened to ", keeps=False),
        Alone("rabbitmq_routing_producer.py", "Nobody listened to ", keeps=False),
        Alone("rabbitmq_topic_producer.py", "Nobody listened to ", keeps=False),
    ),
    things=things,
    payments=5000,
    count_payments=count_payments,
    rpc_server=rpc_server,
    client=Client(),
    first_down=lambda settings: {
        "RABBITMQ_URLS": f"amqp://localhost:1/%2F,{settings['RABBITMQ_URLS']}"
    },
    from_the_beginning=(),
    without_order=(("plain",), ("plain",)),
    heartbeat=lambda settings: {
        "RABBITMQ_URLS": f"{settings['RABBITMQ_URLS']}?heartbeat=2"
    },
)
