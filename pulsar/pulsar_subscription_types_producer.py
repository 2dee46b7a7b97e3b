"""Subscription types, producer: sends each play once, with the artist as its key.

                                  +--> exclusive ----> one consumer
                                  +--> failover -----> one, another stands by
    producer --> [ artist_plays ]-+--> shared -------> several, in turn
                  key: artist     +--> key_shared ---> several, by key

Run each line in its own terminal tab:

    python pulsar_subscription_types_consumer.py exclusive
    python pulsar_subscription_types_consumer.py failover
    python pulsar_subscription_types_consumer.py shared
    python pulsar_subscription_types_consumer.py key_shared
    python pulsar_subscription_types_producer.py

It knows no subscription. Each of them gets every play that is sent once it is there,
so start the consumers first.
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

PLAYS = [
    ("The Sleepers", "Night Train"),
    ("Blue Hour", "Glass Roof"),
    ("Blue Hour", "Sugar Rain"),
    ("The Sleepers", "Last Stop"),
    ("The Sleepers", "Morning Fog"),
    ("Blue Hour", "Paper Boats"),
]


def main():
    client = pulsar.Client(URL, **OPTIONS)
    producer = client.create_producer("artist_plays", send_timeout_millis=4000)
    for artist, title in PLAYS:
        # The key matters to the key-shared subscription only; the others ignore it.
        producer.send(title.encode(), partition_key=artist)
        print(f"Sent {artist}, {title}")


if __name__ == "__main__":
    try:
        main()
    except (KeyboardInterrupt, pulsar.Interrupted):
        pass  # Ctrl-C is how a script is stopped
    except (pulsar.PulsarException, OSError) as error:
        why = str(error).removeprefix("Pulsar error: ")
        sys.exit(f"Pulsar at {SERVERS}: {why}. Try: python -m lab status pulsar")
