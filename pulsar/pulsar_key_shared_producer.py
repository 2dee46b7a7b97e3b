"""Key shared, producer: names the playlist that each edit belongs to.

    producer --> [ playlist_edits ] --> subscription editors --+-- party --> worker 1
                   key: playlist                               +-- jazz ---> worker 2

Run each line in its own terminal tab:

    python pulsar_key_shared_consumer.py
    python pulsar_key_shared_consumer.py
    python pulsar_key_shared_producer.py

The producer knows no worker: the key only says which messages belong together.
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

EDITS = [
    ("party", "edit 1"),
    ("jazz", "edit 1"),
    ("jazz", "edit 2"),
    ("jazz", "edit 3"),
    ("party", "edit 2"),
    ("jazz", "edit 4"),
]


def main():
    client = pulsar.Client(URL, **OPTIONS)
    # Pulsar keeps a message for the subscriptions that are there. Without this one,
    # what is sent before the first worker comes may be deleted.
    client.subscribe("playlist_edits", "editors", pulsar.ConsumerType.KeyShared).close()
    # Batching is off by default. With it, a batch goes to one worker as a whole: then
    # batching_type=pulsar.BatchingType.KeyBased keeps each batch to one key.
    producer = client.create_producer("playlist_edits", send_timeout_millis=4000)
    for playlist, edit in EDITS:
        # The whole pattern: without a key, the edits would be in no order.
        producer.send(edit.encode(), partition_key=playlist)
        print(f"Sent {playlist} {edit}")


if __name__ == "__main__":
    try:
        main()
    except (KeyboardInterrupt, pulsar.Interrupted):
        pass  # Ctrl-C is how a script is stopped
    except (pulsar.PulsarException, OSError) as error:
        why = str(error).removeprefix("Pulsar error: ")
        sys.exit(f"Pulsar at {SERVERS}: {why}. Try: python -m lab status pulsar")
