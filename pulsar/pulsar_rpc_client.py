"""RPC, client: asks for the metadata of a track and waits for the reply.

    client --> [ track_metadata ] ----------> server    title, reply_to, correlation_id
    client <-- [ track_metadata_replies ] <-- server    metadata, correlation_id

Run each line in its own terminal tab:

    python pulsar_rpc_server.py
    python pulsar_rpc_client.py
    python pulsar_rpc_client.py "Lost Song"

All clients read the same topic of replies, and each takes the one with its id. The
client waits five seconds in all: without a deadline it would wait for ever for a
server that is not there.
"""

import os
import sys
import time
import uuid

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

REQUESTS, REPLIES = "track_metadata", "track_metadata_replies"
DEADLINE = 5  # seconds for the whole wait


def main():
    title = " ".join(sys.argv[1:]) or "Night Train"
    request_id = str(uuid.uuid4())
    client = pulsar.Client(URL, **OPTIONS)
    # A reader begins where it is told to, and Pulsar forgets it when it goes. A
    # subscription would stay, and keep the replies to all clients from then on.
    reader = client.create_reader(REPLIES, pulsar.MessageId.latest)
    # Without it, Pulsar may delete a request that is there before the first server.
    client.subscribe(REQUESTS, "metadata_servers", pulsar.ConsumerType.Shared).close()
    producer = client.create_producer(REQUESTS, send_timeout_millis=4000)
    deadline = time.monotonic() + DEADLINE
    request = {"reply_to": REPLIES, "correlation_id": request_id}
    producer.send(title.encode(), request)
    print(f"Requested {title}")
    reply = None
    # One message is not enough: it may be a reply with another request's id.
    while not reply or reply.properties().get("correlation_id") != request_id:
        left = deadline - time.monotonic()
        if left <= 0:
            sys.exit(
                f"No reply within {DEADLINE} seconds. Is pulsar_rpc_server.py running?"
            )
        try:
            # Half a second at a time: only in between it notices a Ctrl-C.
            reply = reader.read_next(timeout_millis=min(500, 1 + int(left * 1000)))
        except pulsar.Timeout:
            continue
    text = reply.data().decode(errors="replace")
    if reply.properties().get("type") == "error":
        sys.exit(text)
    print(f"Received {title}: {text}")


if __name__ == "__main__":
    try:
        main()
    except (KeyboardInterrupt, pulsar.Interrupted):
        pass  # Ctrl-C is how a script is stopped
    except (pulsar.PulsarException, OSError) as error:
        why = str(error).removeprefix("Pulsar error: ")
        sys.exit(f"Pulsar at {SERVERS}: {why}. Try: python -m lab status pulsar")
