"""Dead letter, consumer: gives up what it cannot encode, and keeps it.

    producer --+--> [ uploads ] --> consumer --- rejected ---> [ dead_letters ]
               +--> [ live_requests ] --- expired ---> gone           |
               +--> [ latest_hits ] ----- too many --> gone           +--> reader

Run each line in its own terminal tab:

    python kafka_dead_letter_reader.py
    python kafka_dead_letter_consumer.py
    python kafka_dead_letter_producer.py

Kafka has no dead-letter exchange and counts no deliveries. The consumer counts its
attempts and sends what has failed three times to a topic of its own.
"""

import os
import sys
from itertools import chain

from dotenv import load_dotenv
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.errors import KafkaError

load_dotenv()
SERVERS = os.getenv("KAFKA_BOOTSTRAP_SERVERS", "localhost:9092").split(",")
if not all(server.rpartition(":")[2].strip().isdecimal() for server in SERVERS):
    sys.exit("KAFKA_BOOTSTRAP_SERVERS is malformed. Write it as .env.example does.")
# Four seconds until a Kafka that is down or silent fails, instead of thirty.
TIMEOUTS = {"bootstrap_timeout_ms": 4000, "request_timeout_ms": 4000}
KAFKA = {"bootstrap_servers": SERVERS, **TIMEOUTS}

ATTEMPTS = 3


def main():
    with KafkaAdminClient(**KAFKA) as admin:
        topics = ["uploads", "dead_letters"]
        admin.create_topics(topics, raise_errors=False, wait_for_metadata=True)
    with (
        KafkaProducer(**KAFKA, delivery_timeout_ms=5000) as producer,
        KafkaConsumer(
            "uploads",
            **KAFKA,
            group_id="upload_encoders",
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            max_poll_records=1,
            session_timeout_ms=6000,
        ) as consumer,
    ):
        for message in receive(consumer, "Waiting for uploads. Press Ctrl-C to stop."):
            encode(producer, message)
            # After the dead letter is stored: a crash in between doubles it. The other
            # way round it would lose it.
            consumer.commit()


def encode(producer, message):
    upload = (message.value or b"").decode(errors="replace")
    for attempt in range(1, ATTEMPTS + 1):
        if upload.startswith("track"):
            print(f"Encoded {upload}")
            return
        print(f"Failed {upload}, attempt {attempt}")
    headers = [("reason", b"rejected"), ("topic", message.topic.encode())]
    producer.send("dead_letters", message.value, headers=headers).get()
    print(f"Rejected {upload}")


def receive(consumer, ready):
    batches = {}
    while True:
        if not batches:
            # poll() would wait for ever for a Kafka that is gone. This fails then.
            consumer.bootstrap(timeout_ms=4000, refresh=True)
        batches = consumer.poll(timeout_ms=500)
        if ready and consumer.assignment():
            print(ready)
            ready = None
        yield from chain.from_iterable(batches.values())


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass  # Ctrl-C is how a script is stopped
    except (KafkaError, OSError) as error:
        where, why = ", ".join(SERVERS), type(error).__name__
        sys.exit(f"Kafka at {where}: {why}. Try: python -m lab status kafka")
