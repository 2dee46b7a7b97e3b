"""Schema, incompatible producer: wants to send seconds as text, and is refused.

    producer of version 1 --+
    producer of version 2 --+--> [ track_plays, with a schema ] --> consumer
    incompatible producer --x

Run each line in its own terminal tab:

    python pulsar_schema_consumer.py
    python pulsar_schema_producer.py
    python pulsar_schema_newer_producer.py
    python pulsar_schema_incompatible_producer.py

It does not get as far as sending: no consumer ever sees a play that it cannot read.
(Where the topic has no schema yet, this one becomes the topic's schema.)
"""

import os
import sys

import pulsar
from dotenv import load_dotenv
from pulsar.schema import AvroSchema, Record, String

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
    seconds = String(required=True)  # a number in the versions before


def main():
    client = pulsar.Client(URL, **OPTIONS)
    try:
        producer = client.create_producer(
            "track_plays", schema=AvroSchema(Play), send_timeout_millis=4000
        )
    except pulsar.IncompatibleSchema:
        sys.exit("Refused: this schema does not fit the one of track_plays.")
    producer.send(Play(track="Stone Bridge", seconds="three minutes"))
    print("Sent Stone Bridge, three minutes")


if __name__ == "__main__":
    try:
        main()
    except (KeyboardInterrupt, pulsar.Interrupted):
        pass  # Ctrl-C is how a script is stopped
    except (pulsar.PulsarException, OSError) as error:
        why = str(error).removeprefix("Pulsar error: ")
        sys.exit(f"Pulsar at {SERVERS}: {why}. Try: python -m lab status pulsar")
