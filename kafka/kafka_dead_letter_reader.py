"""Dead letter, reader: shows what has failed, and what is gone without a trace.

    producer --+--> [ uploads ] --> consumer --- rejected ---> [ dead_letters ]
               +--> [ live_requests ] --- expired ---> gone           |
               +--> [ latest_hits ] ----- too many --> gone           +--> reader

Run each line in its own terminal tab:

    python kafka_dead_letter_reader.py
    python kafka_dead_letter_consumer.py
    python kafka_dead_letter_producer.py

Expiry and size limits are retention: nothing is forwarded. But the offsets of a log
are never given twice, so the first one left says how many messages are gone.
"""

import os
import sys

from dotenv import load_dotenv
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
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


def main():
    with KafkaAdminClient(**KAFKA) as admin:
        admin.create_topics(TOPICS, raise_errors=False, wait_for_metadata=True)
    with KafkaConsumer(
        "dead_letters",
        **KAFKA,
        group_id="dead_letter_readers",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        session_timeout_ms=6000,
    ) as consumer:
        while not consumer.assignment():
            # poll() would wait for ever for a Kafka that is gone. This fails then.
            consumer.bootstrap(timeout_ms=4000, refresh=True)
            show(consumer.poll(timeout_ms=500))
        print("Waiting for dead letters. Press Ctrl-C to stop.")
        gone = {
            TopicPartition("live_requests", 0): 0,
            TopicPartition("latest_hits", 0): 0,
        }
        while True:
            show(consumer.poll(timeout_ms=500))
            consumer.commit()
            for log, first in consumer.beginning_offsets(list(gone)).items():
                if first > gone[log]:
                    print(f"Gone from {log.topic}, no dead letter: {first} in all")
                    gone[log] = first


def show(batches):
    for message in batches.get(TopicPartition("dead_letters", 0), []):
        text = (message.value or b"").decode(errors="replace")
        headers = dict(message.headers)
        if "reason" in headers:
            reason, topic = headers["reason"].decode(), headers["topic"].decode()
            print(f"Read {text}: {reason} in {topic}")
        else:
            print(f"Read {text}: no dead letter, sent here")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass  # Ctrl-C is how a script is stopped
    except (KafkaError, OSError) as error:
        where, why = ", ".join(SERVERS), type(error).__name__
        sys.exit(f"Kafka at {where}: {why}. Try: python -m lab status kafka")
