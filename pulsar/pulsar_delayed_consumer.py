"""Delayed, consumer: gets each reminder when its time has come.

                                    +--> shared ------> consumer, when it is due
    producer --> [ reminders ] -----+
               with a time on each  +--> exclusive ---> consumer, at once

Run each line in its own terminal tab:

    python pulsar_delayed_consumer.py shared
    python pulsar_delayed_consumer.py exclusive
    python pulsar_delayed_producer.py

Pulsar holds a message back for a shared or key-shared subscription only. To an
exclusive one it goes at once, whatever time is written on it.
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

TYPES = {
    "shared": pulsar.ConsumerType.Shared,
    "exclusive": pulsar.ConsumerType.Exclusive,
}


def main():
    name = " ".join(sys.argv[1:]) or "shared"
    if name not in TYPES:
        print(f"Usage: python {sys.argv[0]} [{'|'.join(TYPES)}]", file=sys.stderr)
        sys.exit(2)
    client = pulsar.Client(URL, **OPTIONS)
    try:
        consumer = client.subscribe(
            "reminders",
            name,  # one subscription for each type: both get all reminders
            TYPES[name],
            # A new subscription begins with the reminders that wait.
            initial_position=pulsar.InitialPosition.Earliest,
        )
    except pulsar.ConsumerBusy:
        sys.exit(f"The subscription {name} has its one consumer already.")
    print(f"Waiting for reminders, {name}. Press Ctrl-C to stop.")
    for message in receive(client, consumer):
        print(f"Reminded of {message.data().decode(errors='replace')}")
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
