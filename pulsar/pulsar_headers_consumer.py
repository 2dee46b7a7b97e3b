"""Headers, consumer: keeps the booklets whose properties match.

    producer --> [ booklets ] --+--> consumer 1 keeps: all, pdf AND fr
                                +--> consumer 2 keeps: any, pdf OR fr

Run each line in its own terminal tab:

    python pulsar_headers_consumer.py all format=pdf language=fr
    python pulsar_headers_consumer.py any format=pdf language=fr
    python pulsar_headers_producer.py

Pulsar does not look into properties: every booklet travels to every consumer, and the
consumer throws away what it did not ask for. Without an argument it asks for:
all format=pdf language=fr.
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
    match, *pairs = sys.argv[1:] or ["all", "format=pdf", "language=fr"]
    wanted = dict(pair.split("=", 1) for pair in pairs if pair.find("=") > 0)
    if match not in ("all", "any") or not pairs or len(wanted) < len(pairs):
        print(f"Usage: python {sys.argv[0]} all|any NAME=VALUE ...", file=sys.stderr)
        sys.exit(2)
    client = pulsar.Client(URL, **OPTIONS)
    # A reader's subscription ends with it. A consumer's would stay, and keep booklets.
    reader = client.create_reader("booklets", pulsar.MessageId.latest)
    print(f"Waiting for {match} of {' '.join(pairs)}. Press Ctrl-C to stop.")
    for message in receive(client, reader):
        labels = message.properties()
        found = [labels.get(name) == value for name, value in wanted.items()]
        if all(found) if match == "all" else any(found):
            title = message.data().decode(errors="replace")
            print(f"Received {title} ({' '.join(labels.values())})")


def receive(client, reader):
    while True:
        try:
            yield reader.read_next(timeout_millis=500)
        except pulsar.Timeout:
            # receive() would wait for ever for a Pulsar that is gone. This fails then.
            client.get_topic_partitions(reader.topic())


if __name__ == "__main__":
    try:
        main()
    except (KeyboardInterrupt, pulsar.Interrupted):
        pass  # Ctrl-C is how a script is stopped
    except (pulsar.PulsarException, OSError) as error:
        why = str(error).removeprefix("Pulsar error: ")
        sys.exit(f"Pulsar at {SERVERS}: {why}. Try: python -m lab status pulsar")
