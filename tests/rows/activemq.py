"""ActiveMQ's row."""

import queue
import uuid
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import stomp

from lab.broker import Thing
from lab.brokers.activemq import ACTIVEMQ as BROKER
from lab.brokers.activemq import BROKER as OBJECT
from lab.brokers.activemq import contents, endpoints, jolokia
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
from tests.support import PATIENCE

TASKS = Thing("queue", "music_tasks")
TASKS_QUEUE = f"/queue/{TASKS.name}"


class Connection(queue.Queue, stomp.ConnectionListener):
    """A connection that waits for the answer to each of its frames."""

    on_connected = on_receipt = on_message = on_error = queue.Queue.put

    def __init__(self, settings: Settings):
        super().__init__()
        self.connection = stomp.Connection12(endpoints(settings), auto_decode=False)
        self.connection.set_listener("", self)
        login = settings["ACTIVEMQ_USER"], settings["ACTIVEMQ_PASSWORD"]
        self.connection.connect(*login)
        self.take("CONNECTED")

    def on_disconnected(self) -> None:
        self.put(None)

    def take(self, command: str, seconds: float = PATIENCE):
        """The next frame. Raises AssertionError where it is another command."""
        frame = self.get(timeout=seconds)
        if frame is None:  # nothing comes any more: sending would raise the same
            raise stomp.exception.NotConnectedException
        assert frame.cmd == command, frame.body
        return frame

    def send(self, destination: str, body: bytes, **headers: str) -> None:
        """Return when ActiveMQ has the message."""
        self.connection.send(destination, body, headers=headers, receipt="sent")
        self.take("RECEIPT")

    def subscribe(self, destination: str, ack: str = "auto", **headers: str) -> None:
        """Return when ActiveMQ counts this consumer."""
        self.connection.subscribe(
            destination, "1", ack, headers=headers, receipt="ready"
        )
        self.take("RECEIPT")


@contextmanager
def client_of(settings: Settings) -> Iterator[Connection]:
    client = Connection(settings)
    try:
        yield client
    finally:
        client.connection.disconnect()


def publish(destination: str, *, times: int = 1, **headers: str) -> Sender:
    """Sends there, and raises where a body is not taken.

    With ``times``, small ones come before: so many that a consumer that counts says so.
    """

    @contextmanager
    def connected(settings: Settings):
        def send(body: bytes) -> None:
            for _ in range(times - 1):
                client.connection.send(destination, b"one more", headers=headers)
            client.send(destination, body, **headers)

        with client_of(settings) as client:
            yield send

    return Sender(connected)


def things(settings: Settings) -> set[Thing]:
    """Also the consumers: one for a pattern, as music.*, makes no destination."""
    search = {"type": "search", "mbean": f"{OBJECT},endpoint=Consumer,*"}
    (answer,) = jolokia(settings, search)
    consumers = {
        Thing("consumer", name)
        for name in answer["value"]
        if "consumerId=Durable" not in name
    }
    return consumers | {each.thing for each in contents(settings)}


def waiting(settings: Settings, thing: Thing) -> int:
    """How many messages ActiveMQ counts there, also those that a consumer has."""
    return sum(c.messages for c in contents(settings) if c.thing == thing)


@contextmanager
def count_payments(settings: Settings):
    yield lambda: waiting(settings, Thing("queue", "royalties"))


class Server:
    """As ``tests.rows.row.RpcServer``."""

    def __init__(self, client: Connection):
        self.client = client
        client.subscribe("/queue/track_metadata")

    def wait_for_request(self) -> None:
        self.request = self.client.take("MESSAGE").headers

    def reply(self, text: str, *, stale: bool = False) -> None:
        request_id = str(uuid.uuid4()) if stale else self.request["correlation-id"]
        headers = {"correlation-id": request_id, "type": "metadata"}
        # Without a receipt: a client that has left is no failure of the test.
        self.client.connection.send(
            self.request["reply-to"], text.encode(), headers=headers
        )


@contextmanager
def rpc_server(settings: Settings):
    with client_of(settings) as client:
        yield Server(client)


class Client:
    """As ``tests.rows.row.Client``."""

    def send(self, settings, bodies, confirmed) -> None:
        unsent, unconfirmed = deque(bodies), deque()
        with client_of(settings) as client:
            while unsent or unconfirmed:
                if unsent and len(unconfirmed) < ON_THEIR_WAY and client.empty():
                    client.connection.send(
                        TASKS_QUEUE, unsent[0], persistent="true", receipt="stored"
                    )
                    unconfirmed.append(unsent.popleft())
                else:
                    client.take("RECEIPT")  # in the order of the messages
                    confirmed(unconfirmed.popleft())

    def read_all(self, settings) -> list[bytes]:
        found = []
        with self.consuming(settings) as take:
            # What has been dispatched is counted until its acknowledgement.
            while waiting(settings, TASKS):
                while (body := take(0.5)) is not None:
                    found.append(body)
        return found

    @contextmanager
    def consuming(self, settings):
        client = Connection(settings)
        client.subscribe(TASKS_QUEUE, "client-individual")

        def take(seconds: float) -> bytes | None:
            try:
                message = client.take("MESSAGE", seconds)
            except queue.Empty:
                return None
            client.connection.ack(message.headers["ack"])
            return message.body

        yield take
        with suppress(stomp.exception.StompException, OSError):
            client.connection.disconnect()

    def told_after_a_death(self, settings) -> str:
        def first(client: Connection):
            client.subscribe(TASKS_QUEUE, "client-individual")
            return client.take("MESSAGE")

        dead = Connection(settings)
        task = first(dead)
        dead.connection.transport.disconnect_socket()
        with client_of(settings) as client:
            again = first(client)
        assert again.body == task.body
        count = again.headers.get("JMSXDeliveryCount")
        return told(
            flag=again.headers.get("redelivered") == "true",
            count=count and int(count),
        )


def hosts(value: str) -> dict[str, str]:
    return {"ACTIVEMQ_HOSTS": value}


ACTIVEMQ = Row(
    broker=BROKER,
    bad_settings=(
        BadSetting(
            "down",
            lambda settings, silent: (
                hosts("localhost:1") | {"ACTIVEMQ_CONSOLE_PORT": "1"}
            ),
            ("localhost:1", "no answer", "python -m lab status activemq"),
            "nothing listens on localhost:1.",
        ),
        BadSetting(
            "STOMP connector off",
            lambda settings, silent: hosts("localhost:1"),
            ("localhost:1", "no answer", "python -m lab status activemq"),
            "nothing listens on localhost:1: its STOMP connector is off",
        ),
        BadSetting(
            "silent port",
            lambda settings, silent: hosts(f"localhost:{silent}"),
            ("no answer", "python -m lab status activemq"),
            "does not speak STOMP",
        ),
        BadSetting(
            "console's port",
            lambda settings, silent: hosts(
                f"localhost:{settings['ACTIVEMQ_CONSOLE_PORT']}"
            ),
            ("python -m lab status activemq",),
            "does not speak STOMP",
        ),
        BadSetting(
            "wrong password",
            lambda settings, silent: {"ACTIVEMQ_PASSWORD": "s3cret"},
            ("password is invalid. Try", "python -m lab status activemq"),
            "refuses the login of user admin",
        ),
        BadSetting(
            "unknown host",
            lambda settings, silent: hosts("no-such-host.invalid:61613"),
            ("no-such-host.invalid", "python -m lab status activemq"),
            "host name no-such-host.invalid is unknown",
        ),
        *(
            BadSetting(
                f"malformed address {number}",
                lambda settings, silent, bad=bad: hosts(bad),
                ("ACTIVEMQ_HOSTS is malformed", ".env.example"),
                "ACTIVEMQ_HOSTS is malformed",
            )
            for number, bad in enumerate(
                ("localhost", "localhost:port", "localhost:61613,", "stomp://localhost")
            )
        ),
    ),
    secret="s3cret",
    heard=(
        Heard(
            "activemq_fifo_consumer.py", publish("/queue/playlist"), "Playing {body}"
        ),
        Heard("activemq_consumer.py", publish("/queue/music_tasks"), "Encoding {body}"),
        Heard(
            "activemq_fanout_consumer.py",
            publish("/topic/new_releases"),
            "Heard {body}",
        ),
        Heard(
            "activemq_routing_consumer.py",
            publish("/topic/service_logs.critical"),
            "Received critical: {body}",
        ),
        Heard(
            "activemq_topic_consumer.py",
            publish("/topic/catalogue.music.rock.classic"),
            "Received music.rock.classic: {body}",
        ),
        Heard(
            "activemq_rpc_server.py",
            publish("/queue/track_metadata"),
            "Looking up {body}",
        ),
        Heard(
            "activemq_headers_consumer.py",
            publish("/topic/booklets", format="pdf", language="fr"),
            "Received {body} (pdf fr)",
        ),
        Heard(
            "activemq_dead_letter_consumer.py",
            publish("/queue/uploads"),
            "Rejected {body}",
        ),
        Heard(
            "activemq_dead_letter_reader.py",
            publish("/queue/DLQ.uploads"),
            "Read {body}: no dead letter, sent here",
        ),
        Heard(
            "activemq_confirms_consumer.py",
            publish("/queue/royalties", times=2000),
            "Received * payments",
        ),
        Heard(
            "activemq_durable_consumer.py",
            publish("/topic/concerts", persistent="true"),
            "Heard {body}",
        ),
        Heard(
            "activemq_virtual_topic_consumer.py",
            publish("/topic/VirtualTopic.plays", persistent="true"),
            "Counted {body}",
        ),
        Heard(
            "activemq_message_groups_consumer.py",
            publish("/queue/playlist_edits", persistent="true", JMSXGroupID="jazz"),
            "Applying {body}",
        ),
        Heard(
            "activemq_scheduled_consumer.py",
            publish("/queue/reminders", persistent="true"),
            "Reminded of {body}",
        ),
        Heard(
            "activemq_exclusive_consumer.py",
            publish("/queue/payouts", persistent="true"),
            "Paying {body}",
        ),
        Heard(
            "activemq_transactions_consumer.py",
            publish("/queue/album_tracks", persistent="true"),
            "Got {body}",
        ),
        Heard(
            "activemq_browse_consumer.py",
            publish("/queue/reviews", persistent="true"),
            "Published {body}",
        ),
    ),
    refused=(
        Usage("activemq_fifo_consumer.py", ("sideways",)),
        Usage("activemq_fifo_consumer.py", ("exclusive", "plain")),
        Usage("activemq_routing_consumer.py", ("loud",)),
        Usage("activemq_routing_consumer.py", ("error", "Critical")),
        Usage("activemq_topic_consumer.py", ("#",)),
        Usage("activemq_topic_consumer.py", ("music.>.rock",)),
        Usage("activemq_topic_consumer.py", ("music.rock,music.pop",)),
        Usage("activemq_headers_consumer.py", ("all",)),
        Usage("activemq_headers_consumer.py", ("none", "format=pdf")),
        Usage("activemq_headers_consumer.py", ("format=pdf",)),
        Usage("activemq_headers_consumer.py", ("any", "format=pdf", "language")),
        Usage("activemq_headers_consumer.py", ("any", "=pdf")),
        Usage("activemq_confirms_async_producer.py", ("many",)),
        Usage("activemq_confirms_async_producer.py", ("0",)),
        Usage("activemq_durable_consumer.py", ("tablet",)),
        Usage("activemq_durable_consumer.py", ("phone", "laptop")),
        Usage("activemq_virtual_topic_consumer.py", ("lyrics",)),
        Usage("activemq_virtual_topic_consumer.py", ("charts", "royalties")),
        Usage("activemq_exclusive_consumer.py", ("third",)),
        Usage("activemq_exclusive_consumer.py", ("main", "spare")),
    ),
    alone=(
        Alone("activemq_producer.py", "Sent ", keeps=True),
        Alone("activemq_fifo_producer.py", "Sent ", keeps=True),
        Alone("activemq_dead_letter_producer.py", "Sent ", keeps=True),
        Alone("activemq_fanout_producer.py", "Announced ", keeps=False),
        Alone("activemq_routing_producer.py", "Sent ", keeps=False),
        Alone("activemq_topic_producer.py", "Sent ", keeps=False),
        Alone("activemq_headers_producer.py", "Sent ", keeps=False),
        Alone("activemq_durable_producer.py", "Announced ", keeps=False),
        Alone("activemq_virtual_topic_producer.py", "Sent ", keeps=False),
        Alone("activemq_message_groups_producer.py", "Sent ", keeps=True),
        Alone("activemq_scheduled_producer.py", "Sent ", keeps=True),
        Alone("activemq_exclusive_producer.py", "Sent ", keeps=True),
        Alone("activemq_transactions_producer.py", "", keeps=True),
        Alone("activemq_browse_producer.py", "Sent ", keeps=True),
    ),
    things=things,
    payments=2000,
    count_payments=count_payments,
    rpc_server=rpc_server,
    client=Client(),
    first_down=lambda settings: hosts(f"localhost:1,{settings['ACTIVEMQ_HOSTS']}"),
    from_the_beginning=(),
    without_order=(("plain",), ()),
    class_in_every_script=True,  # stomp.py's listener
)
