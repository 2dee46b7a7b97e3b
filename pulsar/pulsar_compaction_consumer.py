"""Compaction, consumer: reads the compacted copy of a topic, and then what comes.

    producer --> [ anna low, ben low, anna normal, ben -, anna high, carla low ]
                                    |  Pulsar compacts the topic
                                    v
                 [ ben -, anna high, carla low ] --> consumer

Run each line in its own terminal tab, the last one when the producer has ended:

    python pulsar_compaction_consumer.py
    python pulsar_compaction_producer.py
    python pulsar_compaction_consumer.py

The first consumer sees every update, the second one the last of each user: enough to
know all the settings.
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
    # A reader begins where it is told, each time, and leaves no subscription behind.
    reader = client.create_reader(
        "sound_settings",
        pulsar.MessageId.earliest,
        # By default it would get all messages that are still there, outdated or not.
        is_read_compacted=True,
    )
    print("Reading sound settings. Press Ctrl-C to stop.")
    for message in receive(client, reader):
        user = message.partition_key() or "nobody"
        quality = message.data().decode(errors="replace")
        print(f"Read {user} {quality or 'deleted'}")


def receive(client, reader):
    while True:
        try:
            yield reader.read_next(timeout_millis=500)
        except pulsar.Timeout:
            # It would wait for ever for a Pulsar that is gone. This fails then.
            client.get_topic_partitions(reader.topic())


if __name__ == "__main__":
    try:
        main()
    except (KeyboardInterrupt, pulsar.Interrupted):
        pass  # Ctrl-C is how a script is stopped
    except (pulsar.PulsarException, OSError) as error:
        why = str(error).removeprefix("Pulsar error: ")
        sys.exit(f"Pulsar at {SERVERS}: {why}. Try: python -m lab status pulsar")
