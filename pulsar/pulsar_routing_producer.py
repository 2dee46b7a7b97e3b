"""Routing, producer: sends log messages, each to the topic of its severity.

               +--> [ service_logs.info ] -------> consumer 2
    producer --+--> [ service_logs.warning ]
               +--> [ service_logs.error ] ------+
               +--> [ service_logs.critical ] ---+--> consumer 1

Run each line in its own terminal tab:

    python pulsar_routing_consumer.py error critical
    python pulsar_routing_consumer.py info
    python pulsar_routing_producer.py

Where RabbitMQ has one exchange and a routing key, Pulsar has several topics, and the
producer chooses. No consumer above asks for warning, so nobody gets it.
"""

import os
import sys

import pulsar
from dotenv import load_dotenv

load_dotenv()
URL = os.getenv("PULSAR_SERVICE_URL", "pulsar://localhost:6650")
SERVERS = URL.partition("://")[2]
if not all(server.rpartition(":")[2].isdecimal() for server in SERVERS.split(",")):
    sys.exit("PULSAR_SERVICE_URL is malformed. Write it as .env.example does.")
# Four seconds until a Pulsar that is down or silent fails, instead of thirty.
OPTIONS = {"operation_timeout_seconds": 4, "connection_timeout_ms": 4000}
# The client's own log goes nowhere: what goes wrong is said once, at the end.
OPTIONS["logger"] = pulsar.FileLogger(pulsar.LoggerLevel.Error, os.devnull)

LOGS = [
    ("info", "User logged in"),
    ("warning", "Disk 90 % full"),
    ("error", "Track not found"),
    ("critical", "DATABASE LOST"),
    ("info", "User logged out"),
]


def main():
    client = pulsar.Client(URL, **OPTIONS)
    producers = {
        severity: client.create_producer(
            f"service_logs.{severity}", send_timeout_millis=4000
        )
        for severity, _ in LOGS
    }
    for severity, text in LOGS:
        # Waits until Pulsar has stored it, and fails where it cannot.
        producers[severity].send(text.encode())
        print(f"Sent {severity}: {text}")


if __name__ == "__main__":
    try:
        main()
    except (KeyboardInterrupt, pulsar.Interrupted):
        pass  # Ctrl-C is how a script is stopped
    except (pulsar.PulsarException, OSError) as error:
        why = str(error).removeprefix("Pulsar error: ")
        sys.exit(f"Pulsar at {SERVERS}: {why}. Try: python -m lab status pulsar")
