"""Subscription types, consumer: one of those that share a subscription.

                                  +--> exclusive ----> one consumer
                                  +--> failover -----> one, another stands by
    producer --> [ artist_plays ]-+--> shared -------> several, in turn
                  key: artist     +--> key_shared ---> several, by key

Run each line in its own terminal tab:

    python pulsar_subscription_types_consumer.py exclusive
    python pulsar_subscription_types_consumer.py failover
    python pulsar_subscription_types_consumer.py shared
    python pulsar_subscription_types_consumer.py key_shared
    python pulsar_subscription_types_producer.py

Start each consumer twice: the type says who gets a play. A second exclusive one is
refused.
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

TYPES = {
    "exclusive": pulsar.ConsumerType.Exclusive,
    "failover": pulsar.ConsumerType.Failover,
    "shared": pulsar.ConsumerType.Shared,
    "key_shared": pulsar.ConsumerType.KeyShared,
}


def main():
    name = " ".join(sys.argv[1:]) or "exclusive"
    if name not in TYPES:
        print(f"Usage: python {sys.argv[0]} [{'|'.join(TYPES)}]", file=sys.stderr)
        sys.exit(2)
    client = pulsar.Client(URL, **OPTIONS)
    try:
        consumer = client.subscribe(
            "artist_plays",
            name,  # the subscription's: another name would get all plays once more
            TYPES[name],
            # One play in advance. By default, what comes in a burst of up to 20 would
            # go to one consumer.
            receiver_queue_size=1,
            # Pulsar spreads the keys by the consumers' names. With names of chance, the
            # default, both artists may go to one consumer.
            consumer_name="counter",
        )
    except pulsar.ConsumerBusy:
        sys.exit(f"The subscription {name} has its one consumer already.")
    print(f"Waiting for plays, {name}. Press Ctrl-C to stop.")
    for message in receive(client, consumer):
        artist = message.partition_key() or "nobody"
        print(f"Received {artist}, {message.data().decode(errors='replace')}")
        consumer.acknowledge(message)


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
