"""Key shared, consumer: gets all edits of a playlist, or none.

    producer --> [ playlist_edits ] --> subscription editors --+-- party --> worker 1
                   key: playlist                               +-- jazz ---> worker 2

Run each line in its own terminal tab:

    python pulsar_key_shared_consumer.py
    python pulsar_key_shared_consumer.py
    python pulsar_key_shared_producer.py

A key stays with its worker, so its messages stay in order. Kill a worker: its keys go
to the other one, and begin with the edit that was not finished.
"""

import os
import sys
import time

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
    client = pulsar.Client(URL, **OPTIONS)
    consumer = client.subscribe(
        "playlist_edits",
        "editors",
        # Shared would give an edit to any worker, and edits of a playlist to several.
        pulsar.ConsumerType.KeyShared,
        # One edit in advance. By default a worker would be sent 1000.
        receiver_queue_size=1,
        # A new subscription begins with the edits that wait.
        initial_position=pulsar.InitialPosition.Earliest,
        # Pulsar spreads the keys by the workers' names. With names of chance, the
        # default, both playlists may go to one worker.
        consumer_name="editor",
    )
    print("Waiting for edits. Press Ctrl-C to stop.")
    for message in receive(client, consumer):
        playlist = message.partition_key() or "no playlist"
        edit = f"{playlist} {message.data().decode(errors='replace')}"
        print(f"Applying {edit}")
        time.sleep(1)  # stands for the work
        consumer.acknowledge(message)
        print(f"Applied {edit}")


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
