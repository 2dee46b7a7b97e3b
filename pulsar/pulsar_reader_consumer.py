"""Reader, consumer: reads a topic from where it likes, as often as it likes.

    producer --> [ listening_history ] --> reader, from where it likes

Run each line in its own terminal tab:

    python pulsar_reader_producer.py
    python pulsar_reader_consumer.py earliest
    python pulsar_reader_consumer.py latest
    python pulsar_reader_consumer.py 4

earliest is the oldest play there is, latest what comes from now on, a number the
message id of this play, counted from the oldest. Nothing is acknowledged.
"""

import os
import re
import sys
from datetime import datetime, timezone

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
    start = " ".join(sys.argv[1:]) or "earliest"
    if not re.fullmatch(r"earliest|latest|[1-9][0-9]{0,17}", start):
        print(f"Usage: python {sys.argv[0]} [earliest|latest|NUMBER]", file=sys.stderr)
        sys.exit(2)
    client = pulsar.Client(URL, **OPTIONS)
    reader = client.create_reader(
        "listening_history",
        find(client, start),
        # Otherwise it begins with the message after this one.
        start_message_id_inclusive=start != "latest",
    )
    print(f"Reading from {start}. Press Ctrl-C to stop.")
    for play in receive(client, reader):
        stamp = play.event_timestamp() or play.publish_timestamp()
        time = datetime.fromtimestamp(stamp / 1000, timezone.utc)
        print(f"Read {time:%H:%M}: {play.data().decode(errors='replace')}")


def find(client, start):
    if start in ("earliest", "latest"):
        return getattr(pulsar.MessageId, start)
    # An application keeps the message ids that matter to it, with its own data:
    # message_id().serialize() makes bytes of one. This script has kept none: it counts.
    reader = client.create_reader("listening_history", pulsar.MessageId.earliest)
    for number in range(int(start)):
        if not reader.has_message_available():
            sys.exit(f"There is no play {start}: {number} is the last.")
        message = reader.read_next(timeout_millis=4000)
    reader.close()
    return message.message_id()


def receive(client, reader):
    while True:
        try:
            yield reader.read_next(timeout_millis=500)
        except pulsar.Timeout:
            # read_next() would wait for ever for a Pulsar that is gone. This fails.
            client.get_topic_partitions(reader.topic())


if __name__ == "__main__":
    try:
        main()
    except (KeyboardInterrupt, pulsar.Interrupted):
        pass  # Ctrl-C is how a script is stopped
    except (pulsar.PulsarException, OSError) as error:
        why = str(error).removeprefix("Pulsar error: ")
        sys.exit(f"Pulsar at {SERVERS}: {why}. Try: python -m lab status pulsar")
