"""Confirms, producer: waits for Pulsar's confirmation after each message.

    producer --> [ royalties ] --> subscription accountants --> consumer
    producer <-- confirmation: "stored, from here on it is mine"

Run each line in its own terminal tab:

    python pulsar_confirms_consumer.py
    python pulsar_confirms_producer.py
    python pulsar_confirms_async_producer.py 100
    python pulsar_confirms_async_producer.py

Safe and slow: each message costs a journey to Pulsar and back. Three more go wrong:
one is confirmed and yet nobody's, one has no place to go, one is too large.
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

COUNT = 2000


def main():
    client = pulsar.Client(URL, **OPTIONS)
    # Stored is not kept: without a subscription, confirmed payments may be deleted.
    client.subscribe("royalties", "accountants", pulsar.ConsumerType.Shared).close()
    producer = client.create_producer("royalties", send_timeout_millis=4000)
    began = time.monotonic()
    for number in range(1, COUNT + 1):
        # Returns when Pulsar has stored it, and raises where it cannot.
        producer.send(f"payment {number}".encode())
    rate = COUNT / (time.monotonic() - began)
    print(f"Confirmed {COUNT} payments one by one: {rate:,.0f}/s")
    # A name with a typing mistake: Pulsar makes a topic of it.
    client.create_producer("royaltys", send_timeout_millis=4000).send(b"payment")
    print("Confirmed, in a new topic without a subscription: payment to nobody")
    try:
        client.create_producer("persistent://public/no_such_namespace/royalties")
    except pulsar.TopicNotFound:
        print("Refused by Pulsar, no such namespace: payment to nowhere")
    try:
        producer.send(b"payment too large" * 1_000_000)
    except pulsar.MessageTooBig:  # more than 5 MB
        print("Refused by the client: payment too large")


if __name__ == "__main__":
    try:
        main()
    except (KeyboardInterrupt, pulsar.Interrupted):
        pass  # Ctrl-C is how a script is stopped
    except (pulsar.PulsarException, OSError) as error:
        why = str(error).removeprefix("Pulsar error: ")
        sys.exit(f"Pulsar at {SERVERS}: {why}. Try: python -m lab status pulsar")
