"""Replay, producer: writes down an evening's plays, each with its time.

    producer --> [ listening_history: 0 1 2 3 4 ... ] --> consumer from the first
                                                      --> consumer from offset 3
                                                      --> consumer from 20:10

Run each line in its own terminal tab:

    python kafka_replay_producer.py
    python kafka_replay_consumer.py first
    python kafka_replay_consumer.py last
    python kafka_replay_consumer.py 3
    python kafka_replay_consumer.py 20:10

Kafka keeps messages for a time, a week by default, whether somebody has read them or
not. This topic keeps them for ever.
"""

import os
import sys
from datetime import datetime, timedelta, timezone

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

EVENING = datetime(2025, 6, 21, 20, 0, tzinfo=timezone.utc)


def main():
    with KafkaAdminClient(**KAFKA) as admin:
        # One partition, so that an offset is one message. And an evening of long ago
        # is older than a week: without this setting, Kafka would soon delete it.
        history = {"num_partitions": 1, "configs": {"retention.ms": "-1"}}
        topics = {"listening_history": history}
        admin.create_topics(topics, raise_errors=False, wait_for_metadata=True)
    with KafkaProducer(**KAFKA, delivery_timeout_ms=5000) as producer:
        for number in range(5):
            play = f"play of track {number + 1}"
            time = EVENING + timedelta(minutes=5 * number)
            # When it was played. Without it, the client writes the time of sending.
            stamp = int(time.timestamp() * 1000)
            producer.send("listening_history", play.encode(), timestamp_ms=stamp).get()
            print(f"Sent {time:%H:%M}: {play}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass  # Ctrl-C is how a script is stopped
    except (KafkaError, OSError) as error:
        where, why = ", ".join(SERVERS), type(error).__name__
        sys.exit(f"Kafka at {where}: {why}. Try: python -m lab status kafka")
