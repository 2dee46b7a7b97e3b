"""Schema, consumer: counts plays, of which it knows what fields they have.

    producer of version 1 --+
    producer of version 2 --+--> [ track_plays, with a schema ] --> consumer
    incompatible producer --x

Run each line in its own terminal tab:

    python pulsar_schema_consumer.py
    python pulsar_schema_producer.py
    python pulsar_schema_newer_producer.py
    python pulsar_schema_incompatible_producer.py

This consumer knows version 1. With the schema of a message, which it asks Pulsar for,
it reads version 2 as well: the fields that it does not know are left out.
"""

import logging
import os
import sys

import pulsar
from dotenv import load_dotenv
from pulsar.schema import AvroSchema, Integer, Record, String

load_dotenv()
URL = os.getenv("PULSAR_SERVICE_URL", "pulsar://localhost:6650")
SERVERS = URL.partition("://")[2]
if not all(server.rpartition(":")[2].isdecimal() for server in SERVERS.split(",")):
    sys.exit("PULSAR_SERVICE_URL is malformed. Write it as .env.example does.")
# Four seconds until a Pulsar that is down or silent fails, instead of thirty.
OPTIONS = {"operation_timeout_seconds": 4, "connection_timeout_ms": 4000}
# The client's own log goes nowhere: what goes wrong is said once, at the end.
OPTIONS["logger"] = pulsar.FileLogger(pulsar.LoggerLevel.Error, os.devnull)


class Play(Record):
    track = String(required=True)
    seconds = Integer(required=True)


def main():
    # The client would log each body that it cannot read, and with that on the terminal.
    logging.disable(logging.WARNING)
    client = pulsar.Client(URL, **OPTIONS)
    consumer = client.subscribe(
        "track_plays",
        "statistics",
        pulsar.ConsumerType.Shared,
        # Pulsar compares it with the topic's, as it does for a producer.
        schema=AvroSchema(Play),
        initial_position=pulsar.InitialPosition.Earliest,
    )
    print("Waiting for plays. Press Ctrl-C to stop.")
    for message in receive(client, consumer):
        play = read(message)
        if play:
            print(f"Counted {play.track}, {play.seconds} seconds")
        else:
            # It would stop every consumer again and again if it were not acknowledged.
            print(f"Skipped {message.data().decode(errors='replace')}: no play")
        consumer.acknowledge(message)


def read(message):
    # Without a schema any body might come, and some could even be read as a play.
    if not message.schema_version():
        return None
    try:
        return message.value()
    except (EOFError, LookupError, ValueError):  # what a body that is not Avro raises
        return None


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
