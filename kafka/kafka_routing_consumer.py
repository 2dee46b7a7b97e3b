"""Routing, consumer: gets only the severities it asks for.

               +--> [ service_logs.info ] -------> consumer 2
    producer --+--> [ service_logs.warning ]
               +--> [ service_logs.error ] ------+
               +--> [ service_logs.critical ] ---+--> consumer 1

Run each line in its own terminal tab:

    python kafka_routing_consumer.py error critical
    python kafka_routing_consumer.py info
    python kafka_routing_producer.py

Kafka cannot pick single messages out of a topic, so each severity has its own.
Without an argument it reads all four.
"""

import os
import sys
from itertools import chain

from dotenv import load_dotenv
from kafka import KafkaAdminClient, KafkaConsumer
from kafka.errors import KafkaError

load_dotenv()
SERVERS = os.getenv("KAFKA_BOOTSTRAP_SERVERS", "localhost:9092").split(",")
if not all(server.rpartition(":")[2].strip().isdecimal() for server in SERVERS):
    sys.exit("KAFKA_BOOTSTRAP_SERVERS is malformed. Write it as .env.example does.")
# Four seconds until a Kafka that is down or silent fails, instead of thirty.
TIMEOUTS = {"bootstrap_timeout_ms": 4000, "request_timeout_ms": 4000}
KAFKA = {"bootstrap_servers": SERVERS, **TIMEOUTS}

SEVERITIES = ["info", "warning", "error", "critical"]


def main():
    wanted = sys.argv[1:] or SEVERITIES
    if not set(wanted) <= set(SEVERITIES):
        print(
            f"Usage: python {sys.argv[0]} [{'] ['.join(SEVERITIES)}]", file=sys.stderr
        )
        sys.exit(2)
    topics = [f"service_logs.{severity}" for severity in wanted]
    with KafkaAdminClient(**KAFKA) as admin:
        admin.create_topics(topics, raise_errors=False, wait_for_metadata=True)
    with KafkaConsumer(*topics, **KAFKA, auto_offset_reset="latest") as consumer:
        ready = f"Waiting for {', '.join(wanted)}. Press Ctrl-C to stop."
        for message in receive(consumer, ready):
            severity = message.topic.removeprefix("service_logs.")
            text = (message.value or b"").decode(errors="replace")
            print(f"Received {severity}: {text}")


def receive(consumer, ready):
    batches = {}
    while True:
        if not batches:
            # poll() would wait for ever for a Kafka that is gone. This fails then.
            consumer.bootstrap(timeout_ms=4000, refresh=True)
        batches = consumer.poll(timeout_ms=500)
        if ready and consumer.assignment():
            for partition in consumer.assignment():
                consumer.position(partition)  # fixes what "latest" is, now
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
