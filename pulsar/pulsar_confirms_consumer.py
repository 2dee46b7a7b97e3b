"""Confirms, consumer: counts the payments that arrive.

    producer --> [ royalties ] --> subscription accountants --> consumer
    producer <-- confirmation: "stored, from here on it is mine"

Run each line in its own terminal tab:

    python pulsar_confirms_consumer.py
    python pulsar_confirms_producer.py
    python pulsar_confirms_async_producer.py 100
    python pulsar_confirms_async_producer.py

What was confirmed arrives, whichever producer sent it.
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
    consumer = client.subscribe(
        "royalties",
        "accountants",
        pulsar.ConsumerType.Shared,
        initial_position=pulsar.InitialPosition.Earliest,
    )
    print("Waiting for payments. Press Ctrl-C to stop.")
    for received, payment in enumerate(receive(client, consumer), start=1):
        consumer.acknowledge(payment)
        if received % 2000 == 0:
            print(f"Received {received} payments")


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
