"""FIFO, producer: sends numbered tracks that are to be played in this order.

    producer --> [ playlist ] --> subscription players --> the one active player

Run each line in its own terminal tab:

    python pulsar_fifo_consumer.py
    python pulsar_fifo_consumer.py
    python pulsar_fifo_producer.py

A topic keeps the order in which messages came in. The first track is a long one: with
two shared consumers (add the word shared to their lines) the others overtake it.
"""

import json
import os
import sys
from urllib.error import HTTPError
from urllib.request import Request, urlopen

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
ADMIN_URL = os.getenv("PULSAR_ADMIN_URL", "http://localhost:8080")
if not ADMIN_URL.partition("://")[2].rpartition(":")[2].isdecimal():
    sys.exit("PULSAR_ADMIN_URL is malformed. Write it as .env.example does.")

TRACKS = ["long track 1", "track 2", "track 3", "track 4", "track 5", "track 6"]


def main():
    client = pulsar.Client(URL, **OPTIONS)
    # One partition. On a topic without any, who is active would be a matter of chance.
    create("persistent/public/default/playlist/partitions", 1)
    # Pulsar keeps a track for the subscriptions that are there. Without this one,
    # what is sent before the first player comes may be deleted.
    create("persistent/public/default/playlist/subscription/players", "earliest")
    producer = client.create_producer("playlist", send_timeout_millis=4000)
    for track in TRACKS:
        # Waits until Pulsar has stored it, and fails where it cannot.
        producer.send(track.encode())
        print(f"Sent {track}")


def create(path, body):
    try:
        admin("PUT", path, body)
    except HTTPError as error:
        if error.code != 409:  # it is there already: whoever comes first creates it
            raise


def admin(method, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    request = Request(f"{ADMIN_URL}/admin/v2/{path}", data, headers, method=method)
    with urlopen(request, timeout=8) as answer:
        return json.loads(answer.read() or "null")


if __name__ == "__main__":
    try:
        main()
    except (KeyboardInterrupt, pulsar.Interrupted):
        pass  # Ctrl-C is how a script is stopped
    except (pulsar.PulsarException, OSError) as error:
        why = str(error).removeprefix("Pulsar error: ")
        sys.exit(f"Pulsar at {SERVERS}: {why}. Try: python -m lab status pulsar")
