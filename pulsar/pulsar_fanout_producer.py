"""Fanout, producer: announces to everybody who listens, whoever that is.

                                   +--> subscription --> listener 1
    producer --> [ new_releases ] -+
                                   +--> subscription --> listener 2

Run each line in its own terminal tab:

    python pulsar_fanout_consumer.py
    python pulsar_fanout_consumer.py
    python pulsar_fanout_producer.py

Pulsar stores each announcement once, however many subscriptions there are. For those
that exist it is kept; it does not tell the producer that there are none.
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

ANNOUNCEMENTS = ["album Night Train", "single Harbour Lights", "tour of six cities"]


def main():
    client = pulsar.Client(URL, **OPTIONS)
    producer = client.create_producer("new_releases", send_timeout_millis=4000)
    for announcement in ANNOUNCEMENTS:
        # Waits until Pulsar has stored it, and fails where it cannot.
        producer.send(announcement.encode())
        print(f"Announced {announcement}")


if __name__ == "__main__":
    try:
        main()
    except (KeyboardInterrupt, pulsar.Interrupted):
        pass  # Ctrl-C is how a script is stopped
    except (pulsar.PulsarException, OSError) as error:
        why = str(error).removeprefix("Pulsar error: ")
        sys.exit(f"Pulsar at {SERVERS}: {why}. Try: python -m lab status pulsar")
