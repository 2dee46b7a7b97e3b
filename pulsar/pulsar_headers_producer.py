"""Headers, producer: sends album booklets that carry labels (properties).

    producer --> [ booklets ] --+--> consumer 1 keeps: all, pdf AND fr
                                +--> consumer 2 keeps: any, pdf OR fr

Run each line in its own terminal tab:

    python pulsar_headers_consumer.py all format=pdf language=fr
    python pulsar_headers_consumer.py any format=pdf language=fr
    python pulsar_headers_producer.py

A property is a name and a text that travel beside the message. Pulsar stores them and
does nothing else with them.
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

BOOKLETS = [
    ("Night Train", {"format": "pdf", "language": "fr"}),
    ("Low Tide", {"format": "pdf", "language": "en"}),
    ("Last Stop", {"format": "epub", "language": "fr"}),
    ("Paper Boats", {"format": "epub", "language": "en"}),
]


def main():
    client = pulsar.Client(URL, **OPTIONS)
    producer = client.create_producer("booklets", send_timeout_millis=4000)
    for title, labels in BOOKLETS:
        # Waits until Pulsar has stored it, and fails where it cannot.
        producer.send(title.encode(), labels)
        print(f"Sent {title} ({' '.join(labels.values())})")


if __name__ == "__main__":
    try:
        main()
    except (KeyboardInterrupt, pulsar.Interrupted):
        pass  # Ctrl-C is how a script is stopped
    except (pulsar.PulsarException, OSError) as error:
        why = str(error).removeprefix("Pulsar error: ")
        sys.exit(f"Pulsar at {SERVERS}: {why}. Try: python -m lab status pulsar")
