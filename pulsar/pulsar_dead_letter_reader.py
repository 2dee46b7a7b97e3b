"""Dead letter, reader: shows what has failed, and what is gone without a trace.

    producer --+--> [ uploads ] --> consumer --- rejected ---> [ dead_letters ]
               +--> [ live_requests ] --- expired ---> gone           |
               +--> [ latest_hits ] ----- too many --> gone           +--> reader

Run each line in its own terminal tab:

    python pulsar_dead_letter_reader.py
    python pulsar_dead_letter_consumer.py
    python pulsar_dead_letter_producer.py

Only what a consumer rejects becomes a dead letter. Of the rest, Pulsar tells how many
messages a subscription is through with: none of these two has ever had a consumer.
"""

import json
import os
import sys
from contextlib import suppress
from urllib.error import HTTPError
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

HOME = "persistent/public/default"  # where a topic with a short name is
NOBODY_READS = {"live_requests": "hosts", "latest_hits": "radios"}


def main():
    client, shared = pulsar.Client(URL, **OPTIONS), pulsar.ConsumerType.Shared
    for topic, subscription in NOBODY_READS.items():
        client.subscribe(topic, subscription, shared).close()
    consumer = client.subscribe("dead_letters", "dead_letter_readers", shared)
    print("Waiting for dead letters. Press Ctrl-C to stop.")
    gone = dict.fromkeys(NOBODY_READS, 0)
    while True:
        try:
            message = consumer.receive(timeout_millis=500)
            text = message.data().decode(errors="replace")
            # Set by the client library that has sent it here.
            source = message.properties().get("REAL_TOPIC", "").rpartition("/")[2]
            why = f"rejected in {source}" if source else "no dead letter, sent here"
            print(f"Read {text}: {why}")
            consumer.acknowledge(message)
        except pulsar.Timeout:
            for topic, number in count_gone():
                if number > gone[topic]:
                    print(f"Gone from {topic}, no dead letter: {number} in all")
                    gone[topic] = number


def count_gone():
    # It refuses to look where nothing waits.
    with suppress(HTTPError):
        # By itself Pulsar looks every five minutes for what is over a topic's TTL.
        admin("POST", f"{HOME}/live_requests/subscription/hosts/expireMessages/2")
    for topic, subscription in NOBODY_READS.items():
        cursors = admin("GET", f"{HOME}/{topic}/internalStats")["cursors"]
        yield topic, cursors[subscription]["messagesConsumedCounter"]


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
