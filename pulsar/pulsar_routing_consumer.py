"""Routing, consumer: gets only the severities it asks for.

               +--> [ service_logs.info ] -------> consumer 2
    producer --+--> [ service_logs.warning ]
               +--> [ service_logs.error ] ------+
               +--> [ service_logs.critical ] ---+--> consumer 1

Run each line in its own terminal tab:

    python pulsar_routing_consumer.py error critical
    python pulsar_routing_consumer.py info
    python pulsar_routing_producer.py

Each severity is a topic, and one consumer may read several. Its subscription, named
after them, stays when it stops: next time it gets what it has missed. Without an
argument it reads all four.
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

SEVERITIES = ["info", "warning", "error", "critical"]


def main():
    asked = sys.argv[1:] or SEVERITIES
    if not set(asked) <= set(SEVERITIES):
        print(
            f"Usage: python {sys.argv[0]} [{'] ['.join(SEVERITIES)}]", file=sys.stderr
        )
        sys.exit(2)
    wanted = [severity for severity in SEVERITIES if severity in asked]
    topics = [f"service_logs.{severity}" for severity in wanted]
    client = pulsar.Client(URL, **OPTIONS)
    # Named after what it asks for: two consumers cannot have this subscription.
    name = "_".join(wanted)
    try:
        consumer = client.subscribe(topics, name)
    except pulsar.ConsumerBusy:
        sys.exit(f"ConsumerBusy: another consumer has the subscription {name}.")
    print(f"Waiting for {', '.join(wanted)}. Press Ctrl-C to stop.")
    for message in receive(client, consumer):
        severity = message.topic_name().rpartition("/service_logs.")[2]
        print(f"Received {severity}: {message.data().decode(errors='replace')}")
        consumer.acknowledge(message)


def receive(client, consumer):
    while True:
        try:
            yield consumer.receive(timeout_millis=500)
        except pulsar.Timeout:
            # receive() would wait for ever for a Pulsar that is gone. This fails then.
            client.get_topic_partitions(consumer.topic())


if __name__ == "__main__":
    try:
        main()
    except (KeyboardInterrupt, pulsar.Interrupted):
        pass  # Ctrl-C is how a script is stopped
    except (pulsar.PulsarException, OSError) as error:
        why = str(error).removeprefix("Pulsar error: ")
        sys.exit(f"Pulsar at {SERVERS}: {why}. Try: python -m lab status pulsar")
