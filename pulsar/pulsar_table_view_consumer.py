"""Table view, consumer: the last value of each key, kept up to date by the client.

    producer --> [ sound_settings ] --> table view  anna   high
                                                    carla  low

Run each line in its own terminal tab, the last one when the producer has ended:

    python pulsar_table_view_consumer.py
    python pulsar_compaction_producer.py
    python pulsar_table_view_consumer.py

The client reads the topic, compacted where Pulsar has compacted it, and keeps the
values in its memory, like a dictionary. A tombstone takes its key out of it.
"""

import os
import queue
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
    # Reads up to the end of the topic first: it is complete from the start.
    table = client.create_table_view("sound_settings")
    changes = queue.Queue()
    # Calls on a thread of the client's, which had better not be kept busy.
    table.for_each_and_listen(lambda user, quality: changes.put((user, quality)))
    print("Watching sound settings. Press Ctrl-C to stop.")
    while True:
        try:
            user, value = changes.get(timeout=0.5)
        except queue.Empty:
            # It would wait for ever for a Pulsar that is gone. This fails then.
            client.get_topic_partitions("sound_settings")
            continue
        quality = value.decode(errors="replace")
        print(f"{user}: {quality or 'deleted'}")


if __name__ == "__main__":
    try:
        main()
    except (KeyboardInterrupt, pulsar.Interrupted):
        pass  # Ctrl-C is how a script is stopped
    except (pulsar.PulsarException, OSError) as error:
        why = str(error).removeprefix("Pulsar error: ")
        sys.exit(f"Pulsar at {SERVERS}: {why}. Try: python -m lab status pulsar")
