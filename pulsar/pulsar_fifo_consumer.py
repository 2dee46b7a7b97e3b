"""FIFO, consumer: plays the tracks in the order in which they were sent.

    producer --> [ playlist ] --> subscription players --> the one active player

Run each line in its own terminal tab:

    python pulsar_fifo_consumer.py
    python pulsar_fifo_consumer.py
    python pulsar_fifo_producer.py

A failover subscription gives everything to one player, others stand by. Kill the
active one: the next takes over, in order. With the word exclusive behind their lines
the second player is refused; with the word shared both play, and the order is lost.
"""

import json
import os
import sys
import time
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


def main():
    modes = ["failover", "exclusive", "shared"]
    mode = "".join(sys.argv[1:]) or modes[0]
    if mode not in modes:
        print(f"Usage: python {sys.argv[0]} [{'|'.join(modes)}]", file=sys.stderr)
        sys.exit(2)
    client = pulsar.Client(URL, **OPTIONS)
    # One partition. On a topic without any, who is active would be a matter of chance.
    create("persistent/public/default/playlist/partitions", 1)
    try:
        consumer = client.subscribe(
            "playlist",
            "players",
            getattr(pulsar.ConsumerType, mode.capitalize()),
            # The first by name is active. So who was there first goes on playing.
            consumer_name=f"player {time.time_ns()}",
            # One track in advance. A shared subscription would give all to one player.
            receiver_queue_size=1,
            # A new subscription begins with the tracks that wait.
            initial_position=pulsar.InitialPosition.Earliest,
        )
    except pulsar.ConsumerBusy:
        sys.exit("ConsumerBusy: another player has the subscription players.")
    print("Waiting for tracks. Press Ctrl-C to stop.")
    for message in receive(client, consumer):
        track = message.data().decode(errors="replace")
        print(f"Playing {track}")
        time.sleep(3 if track.startswith("long") else 0.5)  # stands for the music
        consumer.acknowledge(message)
        print(f"Played {track}")


def receive(client, consumer):
    while True:
        try:
            yield consumer.receive(timeout_millis=500)
        except pulsar.Timeout:
            # receive() would wait for ever for a Pulsar that is gone. This fails then.
            client.get_topic_partitions(consumer.topic())


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
