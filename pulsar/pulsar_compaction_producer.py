"""Compaction, producer: Pulsar keeps a copy with the last value of each key.

    producer --> [ anna low, ben low, anna normal, ben -, anna high, carla low ]
                                    |  Pulsar compacts the topic
                                    v
                 [ ben -, anna high, carla low ] --> consumer

Run each line in its own terminal tab, the last one when the producer has ended:

    python pulsar_compaction_consumer.py
    python pulsar_compaction_producer.py
    python pulsar_compaction_consumer.py

The key is the user, the value is the sound quality that the user has chosen. An empty
value, a tombstone, means: this key is deleted.
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
    producer = client.create_producer("sound_settings", send_timeout_millis=4000)
    updates = ["anna low", "ben low", "anna normal", "ben", "anna high", "carla low"]
    for update in updates:
        user, _, quality = update.partition(" ")
        # A message without a key has no place in the compacted copy.
        producer.send(quality.encode(), partition_key=user)
        print(f"Sent {user} {quality or 'deleted'}")
    compact("persistent/public/default/sound_settings/compaction")
    print("Pulsar has compacted the topic")


def compact(path):
    # By itself Pulsar does it when the topic's policy says so: from a size on.
    admin("PUT", path)
    while (answer := admin("GET", path))["status"] == "RUNNING":
        time.sleep(0.1)
    if answer["status"] != "SUCCESS":
        sys.exit(f"Pulsar could not compact the topic: {answer['lastError']}")


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
