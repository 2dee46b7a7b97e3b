"""Schema, newer producer: sends plays with the schema of version 2, with a country.

    producer of version 1 --+
    producer of version 2 --+--> [ track_plays, with a schema ] --> consumer
    incompatible producer --x

Run each line in its own terminal tab:

    python pulsar_schema_consumer.py
    python pulsar_schema_producer.py
    python pulsar_schema_newer_producer.py
    python pulsar_schema_incompatible_producer.py

The new field has a default. So who knows version 2 can read plays of version 1 as well,
and Pulsar takes the new schema. Consumers of version 1 can go on as they are.
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
    # required_default writes the default into the schema. Without one there, nobody
    # could read the old plays with it, and Pulsar would refuse this schema.
    country = String(required=True, default="unknown", required_default=True)


def main():
    client = pulsar.Client(URL, **OPTIONS)
    # Pulsar keeps a message for the subscriptions that are there. Without this one,
    # what is sent before the first consumer comes may be deleted.
    client.subscribe("track_plays", "statistics", pulsar.ConsumerType.Shared).close()
    producer = client.create_producer(
        "track_plays", schema=AvroSchema(Play), send_timeout_millis=4000
    )
    producer.send(Play(track="Paper Boats", seconds=164, country="Portugal"))
    print("Sent Paper Boats, 164 seconds, Portugal")


if __name__ == "__main__":
    try:
        main()
    except (KeyboardInterrupt, pulsar.Interrupted):
        pass  # Ctrl-C is how a script is stopped
    except (pulsar.PulsarException, OSError) as error:
        why = str(error).removeprefix("Pulsar error: ")
        sys.exit(f"Pulsar at {SERVERS}: {why}. Try: python -m lab status pulsar")
