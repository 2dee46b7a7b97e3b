"""Routing, producer: sends log messages, each to the topic of its severity.

               +--> [ service_logs.info ] -------> consumer 2
    producer --+--> [ service_logs.warning ]
               +--> [ service_logs.error ] ------+
               +--> [ service_logs.critical ] ---+--> consumer 1

Run each line in its own terminal tab:

    python kafka_routing_consumer.py error critical
    python kafka_routing_consumer.py info
    python kafka_routing_producer.py

Where RabbitMQ has one exchange and a routing key, Kafka has several topics, and the
producer chooses. No consumer above asks for warning: Kafka keeps it all the same.
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

LOGS = [
    ("info", "User logged in"),
    ("warning", "Disk 90 % full"),
    ("error", "Track not found"),
    ("critical", "DATABASE LOST"),
    ("info", "User logged out"),
]


def main():
    with KafkaAdminClient(**KAFKA) as admin:
        topics = {f"service_logs.{severity}": {} for severity, _ in LOGS}
        admin.create_topics(topics, raise_errors=False, wait_for_metadata=True)
    with KafkaProducer(**KAFKA, delivery_timeout_ms=5000) as producer:
        for severity, text in LOGS:
            producer.send(f"service_logs.{severity}", text.encode()).get()
            print(f"Sent {severity}: {text}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass  # Ctrl-C is how a script is stopped
    except (KafkaError, OSError) as error:
        where, why = ", ".join(SERVERS), type(error).__name__
        sys.exit(f"Kafka at {where}: {why}. Try: python -m lab status kafka")
