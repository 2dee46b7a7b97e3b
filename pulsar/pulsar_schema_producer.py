"""Schema, producer: sends plays with the schema of version 1.

    producer of version 1 --+
    producer of version 2 --+--> [ track_plays, with a schema ] --> consumer
    incompatible producer --x

Run each line in its own terminal tab:

    python pulsar_schema_consumer.py
    python pulsar_schema_producer.py
    python pulsar_schema_newer_producer.py
    python pulsar_schema_incompatible_producer.py

The topic gets its schema from the first who comes with one. From then on Pulsar
compares: who comes with another one gets in only if both can read what the other
writes.
"""

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
    client = pulsar.Client(URL, **OPTIONS)
    # Pulsar keeps a message for the subscriptions that are there. Without this one,
    # what is sent before the first consumer comes may be deleted.
    client.subscribe("track_plays", "statistics", pulsar.ConsumerType.Shared).close()
    producer = client.create_producer(
        "track_plays", schema=AvroSchema(Play), send_timeout_millis=4000
    )
    for track, seconds in [("Night Train", 201), ("Harbour Lights", 187)]:
        # A play with another field, or with text for seconds, fails here already.
        producer.send(Play(track=track, seconds=seconds))
        print(f"Sent {track}, {seconds} seconds")


if __name__ == "__main__":
    try:
        main()
    except (KeyboardInterrupt, pulsar.Interrupted):
        pass  # Ctrl-C is how a script is stopped
    except (pulsar.PulsarException, OSError) as error:
        why = str(error).removeprefix("Pulsar error: ")
        sys.exit(f"Pulsar at {SERVERS}: {why}. Try: python -m lab status pulsar")
