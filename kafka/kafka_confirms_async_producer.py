"""Confirms, asynchronous producer: many messages on their way at once.

    producer --> [ royalties ] --> consumer
    producer <-- acknowledgement: "stored, from here on it is mine"

Run each line in its own terminal tab:

    python kafka_confirms_consumer.py
    python kafka_confirms_producer.py
    python kafka_confirms_async_producer.py 100
    python kafka_confirms_async_producer.py

At most 100 messages are unconfirmed at a time, without a number all of them: less
waiting, more speed, and more to send again if Kafka dies.
"""

import os
import sys
import threading
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

COUNT = 2000


def main():
    window = "".join(sys.argv[1:]) or str(COUNT)
    if not window.isdecimal() or int(window) < 1:
        print(f"Usage: python {sys.argv[0]} [WINDOW]", file=sys.stderr)
        sys.exit(2)
    with KafkaAdminClient(**KAFKA) as admin:
        admin.create_topics(["royalties"], raise_errors=False, wait_for_metadata=True)
    room = threading.Semaphore(int(window))
    confirmed, failures = [], []

    # Both are called in the client's own thread, as soon as Kafka has answered.
    def succeed(metadata):
        confirmed.append(metadata.offset)
        room.release()

    def fail(error):
        failures.append(error)
        room.release()

    began = time.monotonic()
    # With idempotence, kafka-python would wait for ever when Kafka dies here.
    once = {"acks": "all", "retries": 0, "enable_idempotence": False}
    with KafkaProducer(**KAFKA, **once, delivery_timeout_ms=5000) as producer:
        for number in range(1, COUNT + 1):
            room.acquire()
            if failures:
                break
            sent = producer.send("royalties", f"payment {number}".encode())
            sent.add_callback(succeed).add_errback(fail)
        producer.flush()
        per_request = producer.metrics()["producer-metrics"]["records-per-request-avg"]
    if failures:
        print(f"{COUNT - len(confirmed)} of {COUNT} payments are not confirmed")
        raise failures[0]
    rate = COUNT / (time.monotonic() - began)
    print(f"Confirmed {COUNT} payments, {window} on their way at once: {rate:,.0f}/s")
    print(f"One request carried several payments: {per_request > 1}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass  # Ctrl-C is how a script is stopped
    except (KafkaError, OSError) as error:
        where, why = ", ".join(SERVERS), type(error).__name__
        sys.exit(f"Kafka at {where}: {why}. Try: python -m lab status kafka")
