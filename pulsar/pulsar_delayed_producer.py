"""Delayed, producer: sends reminders that are to be delivered later.

                                    +--> shared ------> consumer, when it is due
    producer --> [ reminders ] -----+
               with a time on each  +--> exclusive ---> consumer, at once

Run each line in its own terminal tab:

    python pulsar_delayed_consumer.py shared
    python pulsar_delayed_consumer.py exclusive
    python pulsar_delayed_producer.py

It ends at once: Pulsar has stored the reminders, each with its time, and waits in its
place, also through a restart.
"""

import os
import sys
import time
from datetime import timedelta

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

REMINDERS = [
    ("Low Tide, in 2 seconds", {"deliver_after": timedelta(seconds=2)}),
    ("Night Train, in 1 second", {"deliver_after": timedelta(seconds=1)}),
    ("Last Stop, now", {}),
]


def main():
    client = pulsar.Client(URL, **OPTIONS)
    # Pulsar keeps a message for the subscriptions that are there. Without this one,
    # what is sent before the first consumer comes may be deleted.
    client.subscribe("reminders", "shared", pulsar.ConsumerType.Shared).close()
    producer = client.create_producer("reminders", send_timeout_millis=4000)
    # A point in time instead of a delay: in milliseconds since 1970.
    mix = {"deliver_at": int(time.time() * 1000) + 3000}
    for text, when in [("your daily mix, at a time", mix), *REMINDERS]:
        # A producer that batches sends a delayed message alone: it has its own time.
        producer.send(text.encode(), **when)
        print(f"Sent {text}")


if __name__ == "__main__":
    try:
        main()
    except (KeyboardInterrupt, pulsar.Interrupted):
        pass  # Ctrl-C is how a script is stopped
    except (pulsar.PulsarException, OSError) as error:
        why = str(error).removeprefix("Pulsar error: ")
        sys.exit(f"Pulsar at {SERVERS}: {why}. Try: python -m lab status pulsar")
