"""Fanout, consumer: every listener gets every announcement.

                                   +--> subscription --> listener 1
    producer --> [ new_releases ] -+
                                   +--> subscription --> listener 2

Run each line in its own terminal tab:

    python pulsar_fanout_consumer.py
    python pulsar_fanout_consumer.py
    python pulsar_fanout_producer.py

Each listener has a subscription of its own. Here it is a reader's, which ends with
the reader. With a name, such as press, it is one that Pulsar keeps, together with
what this listener has not heard yet.
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


def main():
    if len(sys.argv) > 2:
        print(f"Usage: python {sys.argv[0]} [SUBSCRIPTION]", file=sys.stderr)
        sys.exit(2)
    name = "".join(sys.argv[1:])
    client = pulsar.Client(URL, **OPTIONS)
    if name:
        try:
            consumer = client.subscribe("new_releases", name)
        except pulsar.ConsumerBusy:
            sys.exit(f"ConsumerBusy: another listener has the subscription {name}.")
        take = consumer.receive
    else:
        # Begins with the next announcement. When it ends, nothing is kept for it.
        take = client.create_reader("new_releases", pulsar.MessageId.latest).read_next
    print("Listening for announcements. Press Ctrl-C to stop.")
    for message in receive(client, take):
        print(f"Heard {message.data().decode(errors='replace')}")
        if name:
            # Without this Pulsar would send it again when this listener comes back.
            consumer.acknowledge(message)


def receive(client, take):
    while True:
        try:
            yield take(timeout_millis=500)
        except pulsar.Timeout:
            # take() would wait for ever for a Pulsar that is gone. This fails then.
            client.get_topic_partitions("new_releases")


if __name__ == "__main__":
    try:
        main()
    except (KeyboardInterrupt, pulsar.Interrupted):
        pass  # Ctrl-C is how a script is stopped
    except (pulsar.PulsarException, OSError) as error:
        why = str(error).removeprefix("Pulsar error: ")
        sys.exit(f"Pulsar at {SERVERS}: {why}. Try: python -m lab status pulsar")
