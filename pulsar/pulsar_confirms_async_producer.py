"""Confirms, asynchronous producer: many messages on their way at once.

    producer --> [ royalties ] --> subscription accountants --> consumer
    producer <-- confirmation: "stored, from here on it is mine"

Run each line in its own terminal tab:

    python pulsar_confirms_consumer.py
    python pulsar_confirms_producer.py
    python pulsar_confirms_async_producer.py 100
    python pulsar_confirms_async_producer.py

At most 100 messages are unconfirmed at a time, without a number all of them: less
waiting, more speed, and more to send again if Pulsar dies.
"""

import os
import queue
import sys
import time
from contextlib import suppress

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
    window = "".join(sys.argv[1:]) or str(COUNT)
    if not window.isdecimal() or not 1 <= int(window) <= COUNT:
        print(f"Usage: python {sys.argv[0]} [WINDOW]", file=sys.stderr)
        sys.exit(2)
    client = pulsar.Client(URL, **OPTIONS)
    # Stored is not kept: without a subscription, confirmed payments may be deleted.
    client.subscribe("royalties", "accountants", pulsar.ConsumerType.Shared).close()
    # Up to ten messages travel together, and are stored as one entry.
    batches = {"batching_enabled": True, "batching_max_messages": 10}
    batches["batching_max_publish_delay_ms"] = 1  # a batch waits no longer for others
    batches["max_pending_messages"] = COUNT  # the client refuses to hold more
    producer = client.create_producer("royalties", send_timeout_millis=4000, **batches)
    answers, entries = queue.SimpleQueue(), set()
    began = time.monotonic()
    sent, confirmed, failures = 0, 0, []
    try:
        # After a failure nothing more is sent, but each answer is waited for: if Python
        # ended while the client's thread has one to put, it would crash.
        while confirmed + len(failures) < (sent if failures else COUNT):
            if not failures and sent < COUNT and sent - confirmed < int(window):
                sent += 1
                payment = f"payment {sent}".encode()
                # The client's own thread calls it: it only puts the answer aside.
                producer.send_async(payment, lambda *answer: answers.put(answer))
            else:
                result, place = answers.get()
                if result == pulsar.Result.Ok:
                    confirmed += 1
                    entries.add((place.ledger_id(), place.entry_id()))
                else:
                    failures.append(result.name)
    finally:
        with suppress(pulsar.PulsarException):
            client.close()
    if failures:
        print(f"{COUNT - confirmed} of {COUNT} payments are not confirmed")
        raise ConnectionError(failures[0])
    rate = COUNT / (time.monotonic() - began)
    print(f"Confirmed {COUNT} payments, {window} on their way at once: {rate:,.0f}/s")
    print(f"One entry holds several payments: {len(entries) < COUNT}")


if __name__ == "__main__":
    try:
        main()
    except (KeyboardInterrupt, pulsar.Interrupted):
        pass  # Ctrl-C is how a script is stopped
    except (pulsar.PulsarException, OSError) as error:
        why = str(error).removeprefix("Pulsar error: ")
        sys.exit(f"Pulsar at {SERVERS}: {why}. Try: python -m lab status pulsar")
