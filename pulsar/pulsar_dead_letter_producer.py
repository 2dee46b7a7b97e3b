"""Dead letter, producer: sends messages that will fail in three ways.

    producer --+--> [ uploads ] --> consumer --- rejected ---> [ dead_letters ]
               +--> [ live_requests ] --- expired ---> gone           |
               +--> [ latest_hits ] ----- too many --> gone           +--> reader

Run each line in its own terminal tab:

    python pulsar_dead_letter_reader.py
    python pulsar_dead_letter_consumer.py
    python pulsar_dead_letter_producer.py

uploads has a consumer that rejects what is broken. In live_requests a message has
two seconds, and latest_hits has room for two: what is over that, Pulsar drops.
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

HOME = "persistent/public/default"  # where a topic with a short name is
SUBSCRIPTIONS = {
    "uploads": "upload_encoders",
    "live_requests": "hosts",
    "latest_hits": "radios",
}
# In bytes: two hits with what Pulsar writes around them. By default a full topic would
# refuse new messages; this way it drops the oldest.
QUOTA = {"limitSize": 80, "policy": "consumer_backlog_eviction"}
MESSAGES = [
    ("uploads", "track 1"),
    ("uploads", "broken track 2"),
    ("live_requests", "request 3"),
    ("latest_hits", "hit 4"),
    ("latest_hits", "hit 5"),
    ("latest_hits", "hit 6"),
]


def main():
    client = pulsar.Client(URL, **OPTIONS)
    for topic, subscription in SUBSCRIPTIONS.items():
        # Without it, what is sent before somebody subscribes may be deleted.
        client.subscribe(topic, subscription, pulsar.ConsumerType.Shared).close()
    admin("POST", f"{HOME}/live_requests/messageTTL?messageTTL=2")  # seconds
    admin("POST", f"{HOME}/latest_hits/backlogQuota", QUOTA)
    producers = {
        topic: client.create_producer(topic, send_timeout_millis=4000)
        for topic in SUBSCRIPTIONS
    }
    for topic, text in MESSAGES:
        producers[topic].send(text.encode())
        print(f"Sent {text} to {topic}")


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
