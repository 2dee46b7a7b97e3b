"""Headers, producer: sends album booklets that carry labels (headers).

    producer --> [ booklets ] --+--> consumer 1 keeps: all, pdf AND fr
                                +--> consumer 2 keeps: any, pdf OR fr

Run each line in its own terminal tab:

    python kafka_headers_consumer.py all format=pdf language=fr
    python kafka_headers_consumer.py any format=pdf language=fr
    python kafka_headers_producer.py

A header is a name and some bytes that travel beside the message. Kafka stores them
and does nothing else with them.
"""

import os
import sys

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

BOOKLETS = [
    ("Night Train", {"format": "pdf", "language": "fr"}),
    ("Low Tide", {"format": "pdf", "language": "en"}),
    ("Last Stop", {"format": "epub", "language": "fr"}),
    ("Paper Boats", {"format": "epub", "language": "en"}),
]


def main():
    with KafkaAdminClient(**KAFKA) as admin:
        admin.create_topics(["booklets"], raise_errors=False, wait_for_metadata=True)
    with KafkaProducer(**KAFKA, delivery_timeout_ms=5000) as producer:
        for title, labels in BOOKLETS:
            headers = [(name, value.encode()) for name, value in labels.items()]
            producer.send("booklets", title.encode(), headers=headers).get()
            print(f"Sent {title} ({' '.join(labels.values())})")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass  # Ctrl-C is how a script is stopped
    except (KafkaError, OSError) as error:
        where, why = ", ".join(SERVERS), type(error).__name__
        sys.exit(f"Kafka at {where}: {why}. Try: python -m lab status kafka")
