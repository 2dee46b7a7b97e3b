"""Reader, seek consumer: a subscription that goes back to count again.

    producer --> [ listening_history ] --> subscription statistics --> consumer
                       ^                                                  |
                       +--------------------- seek -----------------------+

Run each line in its own terminal tab:

    python pulsar_reader_producer.py
    python pulsar_reader_seek_consumer.py unread
    python pulsar_reader_seek_consumer.py earliest
    python pulsar_reader_seek_consumer.py 10m

unread goes on where the subscription is. earliest and latest are message ids, 10m is a
time: everything that was sent in the last 10 minutes.
"""

import os
import re
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
    start = " ".join(sys.argv[1:]) or "unread"
    if not re.fullmatch(r"unread|earliest|latest|[0-9]{1,9}[ms]", start):
        starts = "unread|earliest|latest|MINUTESm|SECONDSs"
        print(f"Usage: python {sys.argv[0]} [{starts}]", file=sys.stderr)
        sys.exit(2)
    client = pulsar.Client(URL, **OPTIONS)
    consumer = client.subscribe(
        "listening_history",
        "statistics",
        # A new subscription begins with all that the topic has kept.
        initial_position=pulsar.InitialPosition.Earliest,
    )
    if start in ("earliest", "latest"):
        consumer.seek(getattr(pulsar.MessageId, start))
    elif start != "unread":
        seconds = int(start[:-1]) * (60 if start.endswith("m") else 1)
        # Compared with the publish time, in milliseconds: there is no other index.
        consumer.seek(max(0, int((time.time() - seconds) * 1000)))
    print(f"Counting from {start}. Press Ctrl-C to stop.")
    try:
        for message in receive(client, consumer):
            consumer.acknowledge(message)
            print(f"Counted {message.data().decode(errors='replace')}")
    finally:
        # The client collects acknowledgements for 100 milliseconds: without this, the
        # last ones would be lost, and their plays counted twice.
        consumer.close()


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
