"""Work queue, producer: sends six tasks, each for one of the workers.

    producer --> [ music_tasks ] --> subscription encoders --+--> worker 1
                                                             +--> worker 2

Run each line in its own terminal tab:

    python pulsar_consumer.py
    python pulsar_consumer.py
    python pulsar_producer.py

Start it first if you like: the subscription keeps the tasks until a worker comes.
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
    client = pulsar.Client(URL, **OPTIONS)
    # Pulsar keeps a message for the subscriptions that are there. Without this one,
    # what is sent before the first worker comes may be deleted.
    client.subscribe("music_tasks", "encoders", pulsar.ConsumerType.Shared).close()
    producer = client.create_producer("music_tasks", send_timeout_millis=4000)
    for number in range(1, 7):
        track = f"track {number}"
        # Waits until Pulsar has stored it, and fails where it cannot.
        producer.send(track.encode())
        print(f"Sent {track}")


if __name__ == "__main__":
    try:
        main()
    except (KeyboardInterrupt, pulsar.Interrupted):
        pass  # Ctrl-C is how a script is stopped
    except (pulsar.PulsarException, OSError) as error:
        why = str(error).removeprefix("Pulsar error: ")
        sys.exit(f"Pulsar at {SERVERS}: {why}. Try: python -m lab status pulsar")
