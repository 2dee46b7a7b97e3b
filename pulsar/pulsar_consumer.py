"""Work queue, consumer: each task goes to one of the workers.

    producer --> [ music_tasks ] --> subscription encoders --+--> worker 1
                                                             +--> worker 2

Run each line in its own terminal tab:

    python pulsar_consumer.py
    python pulsar_consumer.py
    python pulsar_producer.py

Both workers share one subscription, and take turns. Kill one in the middle of a task:
the other gets that task at once, because Pulsar sees the connection end without an
acknowledgement.
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
        "music_tasks",
        "encoders",
        pulsar.ConsumerType.Shared,
        # One task in advance. By default the first worker would be sent 1000.
        receiver_queue_size=1,
        # A new subscription begins with the tasks that wait.
        initial_position=pulsar.InitialPosition.Earliest,
    )
    print("Waiting for tasks. Press Ctrl-C to stop.")
    for message in receive(client, consumer):
        track = message.data().decode(errors="replace")
        print(f"Encoding {track}")
        time.sleep(1)  # stands for the work
        # Only now: a task acknowledged before the work is lost if the worker dies.
        consumer.acknowledge(message)
        print(f"Finished {track}")


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
