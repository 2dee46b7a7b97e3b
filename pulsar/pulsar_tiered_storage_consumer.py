"""Tiered storage, consumer: reads a topic from its beginning, wherever Pulsar keeps it.

    producer --> [ listening_archive: plays 5 and 6 in the bookie ] --+--> consumer
                 [     plays 1 to 4 in files, or in S3 or the like ] --+

Run each line in its own terminal tab:

    python pulsar_tiered_storage_producer.py
    python pulsar_tiered_storage_consumer.py

For the consumer there is one topic, and one order. It has to ask to learn where a
message is kept.
"""

import json
import os
import sys
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
    client = pulsar.Client(URL, **OPTIONS)
    # A reader begins where it is told, each time, and leaves no subscription behind.
    reader = client.create_reader("listening_archive", pulsar.MessageId.earliest)
    print("Reading the archive. Press Ctrl-C to stop.")
    for message in receive(client, reader):
        play = message.data().decode(errors="replace")
        # The first part of a message's id is the ledger that it is in.
        offloaded = message.message_id().ledger_id() in offloaded_ledgers()
        print(f"Read {play} from {'tiered storage' if offloaded else 'the bookie'}")


def offloaded_ledgers():
    path = "persistent/public/default/listening_archive/internalStats"
    ledgers = admin("GET", path)["ledgers"]
    return {each["ledgerId"] for each in ledgers if each["offloaded"]}


def receive(client, reader):
    while True:
        try:
            yield reader.read_next(timeout_millis=500)
        except pulsar.Timeout:
            # It would wait for ever for a Pulsar that is gone. This fails then.
            client.get_topic_partitions(reader.topic())


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
