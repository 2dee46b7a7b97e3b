"""Reader, producer: writes down an evening's plays, for ever.

    producer --> [ listening_history ] --> reader, from where it likes
                        |
                        +--> subscription statistics --> consumer, which can seek

Run each line in its own terminal tab:

    python pulsar_reader_producer.py
    python pulsar_reader_consumer.py earliest
    python pulsar_reader_seek_consumer.py unread

A topic forgets what every subscription has acknowledged, and a reader is no
subscription. So this topic gets a retention policy: it keeps everything.
"""

import json
import os
import sys
from datetime import datetime, timedelta, timezone
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

EVENING = datetime(2025, 6, 21, 20, 0, tzinfo=timezone.utc)
FOR_EVER = {"retentionTimeInMinutes": -1, "retentionSizeInMB": -1}


def main():
    client = pulsar.Client(URL, **OPTIONS)
    producer = client.create_producer("listening_history", send_timeout_millis=4000)
    # Without it, Pulsar deletes what no subscription waits for: soon after a restart,
    # there would be nothing left to read.
    admin("POST", "persistent/public/default/listening_history/retention", FOR_EVER)
    for number in range(5):
        play = f"play of track {number + 1}"
        time = EVENING + timedelta(minutes=5 * number)
        # When it was played. Pulsar adds the time of sending, the publish time.
        stamp = int(time.timestamp() * 1000)
        producer.send(play.encode(), event_timestamp=stamp)
        print(f"Sent {time:%H:%M}: {play}")


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
