"""Tiered storage, producer: moves old messages of a topic to where storage is cheap.

    producer --> [ listening_archive: plays 5 and 6 in the bookie ] --+--> consumer
                 [     plays 1 to 4 in files, or in S3 or the like ] --+

Run each line in its own terminal tab:

    python pulsar_tiered_storage_producer.py
    python pulsar_tiered_storage_consumer.py

A topic's messages are in ledgers, and these in a bookie, Pulsar's storage server. A
ledger that is closed can be offloaded: Pulsar copies it to tiered storage, and deletes
what the bookie has.
"""

import json
import os
import sys
import time
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
    producer = client.create_producer("listening_archive", send_timeout_millis=4000)
    topic = "persistent/public/default/listening_archive"
    # For ever, and any amount. By default, what nobody waits for may be deleted.
    for_ever = {"retentionTimeInMinutes": -1, "retentionSizeInMB": -1}
    admin("POST", f"{topic}/retention", for_ever)
    for number in range(1, 5):
        send(producer, number)
    # Closes the topic's ledger, and begins another. Without that Pulsar does it after
    # 50,000 messages, or four hours.
    admin("PUT", f"{topic}/unload")
    first_to_stay = send(producer, 5)
    send(producer, 6)
    offload(topic, first_to_stay)
    # The bookie's copies would go too, but when Pulsar next looks for such ledgers.
    admin("POST", f"{topic}/trim")
    print("Pulsar has offloaded what was sent before play 5")


def send(producer, number):
    sent = producer.send(f"play {number}".encode())
    print(f"Sent play {number}")
    return {"ledgerId": sent.ledger_id(), "entryId": sent.entry_id()}


def offload(topic, first_to_stay):
    # By itself Pulsar does it when the topic's policy says so: from a size or age on.
    admin("PUT", f"{topic}/offload", first_to_stay)
    while (answer := admin("GET", f"{topic}/offload"))["status"] == "RUNNING":
        time.sleep(0.1)
    if answer["status"] != "SUCCESS":
        sys.exit(f"Pulsar could not offload: {answer['lastError']}")


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
