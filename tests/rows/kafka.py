"""Kafka's row."""

from collections import deque
from contextlib import contextmanager
from itertools import chain

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from lab.broker import Thing
from lab.brokers.kafka import KAFKA as BROKER
from lab.brokers.kafka import connect, endpoints, groups
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


def publish(topic: str, *, times: int = 1, **options) -> Sender:
    """Sends there, and raises where a body is not stored; None is one, too.

    With ``times``, small ones follow: so many that a consumer that counts says so.
    """

    @contextmanager
    def connected(settings: Settings):
        def send(body: bytes | None) -> None:
            bodies = [body, *[b"one more"] * (times - 1)]
            sent = [producer.send(topic, each, **options) for each in bodies]
            for each in sent:
                each.get(timeout=PATIENCE)

        servers = [str(end) for end in endpoints(settings)]
        patience = {"max_block_ms": PATIENCE * 1000}
        with KafkaProducer(bootstrap_servers=servers, **patience) as producer:
            yield send

    return Sender(connected)


def things(settings: Settings) -> set[Thing]:
    with connect(settings) as admin:
        topics = {Thing("topic", name) for name in admin.list_topics()}
        return {each for each in topics if not each.name.startswith("__")} | {
            Thing("consumer group", name) for name in groups(admin)
        }


@contextmanager
def consumer_of(topic: str, settings: Settings):
    """A consumer of the topic's one partition, from its end on."""
    bootstrap = [str(end) for end in endpoints(settings)]
    with connect(settings) as admin:
        admin.create_topics([topic], raise_errors=False, wait_for_metadata=True)
    with KafkaConsumer(bootstrap_servers=bootstrap) as consumer:
        partition = TopicPartition(topic, 0)
        consumer.assign([partition])
        consumer.seek_to_end(partition)
        consumer.position(partition)
        yield consumer, partition


@contextmanager
def count_payments(settings: Settings):
    with consumer_of("royalties", settings) as (consumer, partition):
        yield lambda: consumer.end_offsets([partition], timeout_ms=5000)[partition]


class Server:
    """As ``tests.rows.row.RpcServer``."""

    def __init__(self, consumer: KafkaConsumer, settings: Settings):
        self.consumer = consumer
        self.settings = settings
        self.request_id = b""

    def wait_for_request(self) -> None:
        def arrived() -> bool:
            for (request,) in self.consumer.poll(timeout_ms=100).values():
                self.request_id = dict(request.headers)["correlation_id"]
            return bool(self.request_id)

        wait_until(arrived)

    def reply(self, text: str, *, stale: bool = False) -> None:
        headers = [("correlation_id", b"other" if stale else self.request_id)]
        send = publish("track_metadata_replies", headers=headers)
        send(self.settings, text.encode())


@contextmanager
def rpc_server(settings: Settings):
    with consumer_of("track_metadata", settings) as (consumer, _):
        yield Server(consumer, settings)


def worker_of(
    settings: Settings, *, session_timeout_ms: int = 6000, **options
) -> KafkaConsumer:
    """A member of the work queue's group, that commits when it is told to."""
    return KafkaConsumer(
        TASKS,
        bootstrap_servers=[str(end) for end in endpoints(settings)],
        group_id="encoders",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        max_poll_records=1,
        session_timeout_ms=session_timeout_ms,
        heartbeat_interval_ms=1000,
        **options,
    )


class Client:
    """As ``tests.rows.row.Client``."""

    def send(self, settings, bodies, confirmed) -> None:
        servers = [str(end) for end in endpoints(settings)]
        # With idempotence it would wait for ever when Kafka dies.
        once = {"acks": "all", "retries": 0, "enable_idempotence": False}
        on_their_way = deque()
        with KafkaProducer(
            bootstrap_servers=servers,
            **once,
            max_block_ms=10_000,
            request_timeout_ms=8000,
            delivery_timeout_ms=10_000,
        ) as producer:
            for body in bodies:
                if len(on_their_way) == ON_THEIR_WAY:
                    on_their_way.popleft().get()
                sent = producer.send(TASKS, body)
                sent.add_callback(lambda _, body=body: confirmed(body))
                on_their_way.append(sent)
            for sent in on_their_way:
                sent.get()

    def read_all(self, settings) -> list[bytes]:
        servers = [str(end) for end in endpoints(settings)]
        found = []
        with KafkaConsumer(bootstrap_servers=servers) as consumer:
            numbers = consumer.partitions_for_topic(TASKS)
            partitions = [TopicPartition(TASKS, number) for number in numbers]
            consumer.assign(partitions)
            consumer.seek_to_beginning()
            ends = consumer.end_offsets(partitions)
            while any(consumer.position(each) < ends[each] for each in partitions):
                for batch in consumer.poll(timeout_ms=100).values():
                    found += [message.value for message in batch]
        return found

    @contextmanager
    def consuming(self, settings):
        # It stays a member while Kafka is down.
        consumer = worker_of(settings, session_timeout_ms=45_000)
        polled = deque()

        def poll(seconds: float) -> None:
            for batch in consumer.poll(timeout_ms=1000 * seconds).values():
                polled.extend(batch)

        while not consumer.assignment():
            poll(0.1)

        def take(seconds: float) -> bytes | None:
            if not polled:
                poll(seconds)
            if not polled:
                return None
            consumer.commit()
            return polled.popleft().value

        yield take
        consumer.close(timeout_ms=4000)

    def told_after_a_death(self, settings) -> str:
        # Who has such an id does not say that it leaves.
        with worker_of(settings, group_instance_id="doomed") as doomed:
            ((first,),) = doomed.poll(timeout_ms=PATIENCE * 1000).values()
        with worker_of(settings) as worker:
            while True:
                # Those of the other partition come first.
                for again in chain.from_iterable(worker.poll(timeout_ms=500).values()):
                    if again.value == first.value:
                        return told(flag=again != first, count=None)


def servers(value: str) -> dict[str, str]:
    return {"KAFKA_BOOTSTRAP_SERVERS": value}


KAFKA = Row(
    broker=BROKER,
    slow_lanes=3,
    bad_settings=(
        BadSetting(
            "down",
            lambda settings, silent: servers("localhost:1"),
            ("localhost:1", "KafkaTimeoutError", "python -m lab status kafka"),
            "nothing listens on localhost:1.",
        ),
        BadSetting(
            "silent port",
            lambda settings, silent: servers(f"localhost:{silent}"),
            ("KafkaTimeoutError", "python -m lab status kafka"),
            "does not speak Kafka's protocol",
        ),
        BadSetting(
            "unknown host",
            lambda settings, silent: servers("no-such-host.invalid:9092"),
            ("no-such-host.invalid", "python -m lab status kafka"),
            "host name no-such-host.invalid is unknown",
        ),
        *(
            BadSetting(
                f"malformed address {number}",
                lambda settings, silent, bad=bad: servers(bad),
                ("KAFKA_BOOTSTRAP_SERVERS is malformed", ".env.example"),
                "KAFKA_BOOTSTRAP_SERVERS is malformed",
            )
            for number, bad in enumerate(
                ("localhost", "localhost:port", "localhost:9092,", "http://localhost/")
            )
        ),
    ),
    secret=None,
    heard=(
        Heard("kafka_fifo_consumer.py", publish("playlist_single"), "Playing {body}"),
        Heard("kafka_consumer.py", publish("music_tasks"), "Encoding {body}"),
        Heard("kafka_fanout_consumer.py", publish("new_releases"), "Heard {body}"),
        Heard(
            "kafka_routing_consumer.py",
            publish("service_logs.critical"),
            "Received critical: {body}",
        ),
        Heard(
            "kafka_topic_consumer.py",
            publish("catalogue.music.rock.classic"),
            "Received music.rock.classic: {body}",
        ),
        Heard("kafka_rpc_server.py", publish("track_metadata"), "Looking up {body}"),
        Heard(
            "kafka_headers_consumer.py",
            publish("booklets", headers=[("format", b"pdf"), ("language", b"fr")]),
            "Received {body} (pdf fr)",
        ),
        Heard(
            "kafka_dead_letter_consumer.py",
            publish("uploads"),
            "Failed {body}, attempt 1",
        ),
        Heard(
            "kafka_dead_letter_reader.py",
            publish("dead_letters"),
            "Read {body}: no dead letter, sent here",
        ),
        Heard(
            "kafka_confirms_consumer.py",
            publish("royalties", times=2000),
            "Received * payments",
        ),
        Heard(
            "kafka_partitions_consumer.py",
            publish("artist_plays", key=b"The Sleepers"),
            "Counted The Sleepers, {body}: play * partition 2",
        ),
        Heard("kafka_rebalance_consumer.py", publish("ratings"), "Counted {body}"),
        Heard(
            "kafka_rebalance_cooperative_consumer.py",
            publish("ratings"),
            "Counted {body}",
        ),
        Heard(
            "kafka_replay_consumer.py",
            publish("listening_history"),
            "Read *: {body}",
        ),
        Heard(
            "kafka_compaction_consumer.py",
            publish("sound_settings", key=b"anna"),
            "Read *: anna {body}",
        ),
        Heard("kafka_transactions_consumer.py", publish("bookings"), "Read {body}"),
        Heard("kafka_transactions_processor.py", publish("payments"), "Wrote {body}"),
    ),
    refused=(
        Usage("kafka_transactions_consumer.py", ("serializable",)),
        Usage("kafka_transactions_consumer.py", ("read_committed", "read_uncommitted")),
        Usage("kafka_fifo_producer.py", ("sideways",)),
        Usage("kafka_fifo_consumer.py", ("single", "split")),
        Usage("kafka_fanout_consumer.py", ("yesterday",)),
        Usage("kafka_routing_consumer.py", ("loud",)),
        Usage("kafka_routing_consumer.py", ("error", "Critical")),
        Usage("kafka_topic_consumer.py", ("music.(",)),
        Usage("kafka_headers_consumer.py", ("all",)),
        Usage("kafka_headers_consumer.py", ("none", "format=pdf")),
        Usage("kafka_headers_consumer.py", ("format=pdf",)),
        Usage("kafka_headers_consumer.py", ("any", "format=pdf", "language")),
        Usage("kafka_headers_consumer.py", ("any", "=pdf")),
        Usage("kafka_confirms_async_producer.py", ("many",)),
        Usage("kafka_confirms_async_producer.py", ("0",)),
        Usage("kafka_replay_consumer.py", ("yesterday",)),
        Usage("kafka_replay_consumer.py", ("-1",)),
        Usage("kafka_replay_consumer.py", ("24:00",)),
        Usage("kafka_replay_consumer.py", ("9:5",)),
        Usage("kafka_replay_consumer.py", ("9" * 19,)),
    ),
    alone=(
        Alone("kafka_compaction_producer.py", "", keeps=True),
        Alone("kafka_producer.py", "Sent ", keeps=True),
        Alone("kafka_fifo_producer.py", "Sent ", keeps=True),
        Alone("kafka_dead_letter_producer.py", "Sent ", keeps=True),
        Alone("kafka_fanout_producer.py", "Announced ", keeps=False),
        Alone("kafka_routing_producer.py", "Sent ", keeps=False),
        Alone("kafka_topic_producer.py", "Sent ", keeps=False),
        Alone("kafka_headers_producer.py", "Sent ", keeps=False),
        Alone("kafka_partitions_producer.py", "Sent ", keeps=True),
        Alone("kafka_rebalance_producer.py", "Sent ", keeps=True),
        Alone("kafka_replay_producer.py", "Sent ", keeps=True),
    ),
    things=things,
    payments=2000,
    count_payments=count_payments,
    rpc_server=rpc_server,
    client=Client(),
    first_down=lambda settings: servers(
        f"localhost:1,{settings['KAFKA_BOOTSTRAP_SERVERS']}"
    ),
    from_the_beginning=("earliest",),
    without_order=(("split",), ("split",)),
)
