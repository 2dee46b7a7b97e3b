"""Kafka's row."""

from kafka import KafkaProducer

from lab.broker import Thing
from lab.brokers.kafka import KAFKA as BROKER
from lab.brokers.kafka import connect, group, groups, topic
from tests.rows.row import Alone, Heard, Row, Settings, Usage


def publish(topic: str, *, key: bytes | None = None):
    """A function that sends a body there, and raises where Kafka does not store it."""

    def send(settings: Settings, body: bytes | None) -> None:
        servers = settings["KAFKA_BOOTSTRAP_SERVERS"].split(",")
        with KafkaProducer(bootstrap_servers=servers) as producer:
            producer.send(topic, body, key).get(timeout=15)

    return send


def things(settings: Settings) -> set[Thing]:
    with connect(settings) as admin:
        topics = {topic(name) for name in admin.list_topics() if name[:2] != "__"}
        return topics | {group(name) for name in groups(admin)}


KAFKA = Row(
    broker=BROKER,
    bad_settings=(),
    secret="s3cret",
    heard=(
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
    ),
    alone=(Alone("kafka_compaction_producer.py", "", keeps=True),),
    things=things,
)
