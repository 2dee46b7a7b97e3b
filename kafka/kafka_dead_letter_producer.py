"""Dead letter, producer: sends messages that will fail in three ways.

    producer --+--> [ uploads ] --> consumer --- rejected ---> [ dead_letters ]
               +--> [ live_requests ] --- expired ---> gone           |
               +--> [ latest_hits ] ----- too many --> gone           +--> reader

Run each line in its own terminal tab:

    python kafka_dead_letter_reader.py
    python kafka_dead_letter_consumer.py
    python kafka_dead_letter_producer.py

uploads has a consumer that rejects what is broken. In live_requests a message has
two seconds, and latest_hits has room for two: what is over that, Kafka deletes.
"""

import os
import sys
import time

from dotenv import load_dotenv
from kafka import KafkaAdminClient, KafkaProducer
from kafka.errors import KafkaError

load_dotenv()
SERVERS = os.getenv("KAFKA_BOOTSTRAP_SERVERS", "localhost:9092").split(",")
if not all(server.rpartition(":")[2].strip().isdecimal() for server in SERVERS):
    sys.exit("KAFKA_BOOTSTRAP_SERVERS is malformed. Write it as .env.example does.")
# Four seconds until a Kafka that is down or silent fails, instead of thirty.
TIMEOUTS = {"bootstrap_timeout_ms": 4000, "request_timeout_ms": 4000}
KAFKA = {"bootstrap_servers": SERVERS, **TIMEOUTS}

# Kafka deletes whole segments of a log, so each hit gets one of its own.
TOPICS = {
    "uploads": {},
    "live_requests": {"configs": {"retention.ms": "2000"}},
    "latest_hits": {"configs": {"retention.bytes": "100", "segment.ms": "1"}},
    "dead_letters": {},
}
MESSAGES = [
    ("uploads", "track 1"),
    ("uploads", "broken track 2"),
    ("live_requests", "request 3"),
    ("latest_hits", "hit 4"),
    ("latest_hits", "hit 5"),
    ("latest_hits", "hit 6"),
]


def main():
    with KafkaAdminClient(**KAFKA) as admin:
        admin.create_topics(TOPICS, raise_errors=False, wait_for_metadata=True)
    with KafkaProducer(**KAFKA, delivery_timeout_ms=5000) as producer:
        for topic, text in MESSAGES:
            producer.send(topic, text.encode()).get()
            print(f"Sent {text} to {topic}")
            time.sleep(0.01)  # two of the same millisecond would share a segment


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass  # Ctrl-C is how a script is stopped
    except (KafkaError, OSError) as error:
        where, why = ", ".join(SERVERS), type(error).__name__
        sys.exit(f"Kafka at {where}: {why}. Try: python -m lab status kafka")
