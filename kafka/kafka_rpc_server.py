"""RPC, server: looks up tracks for others and sends each the answer.

    client --> [ track_metadata ] ---------> server    title, correlation id
    client <-- [ track_metadata_replies ] <-- server   metadata, correlation id

Run each line in its own terminal tab:

    python kafka_rpc_server.py
    python kafka_rpc_client.py
    python kafka_rpc_client.py "Lost Song"

Kafka keeps a request until its retention is over, and has no expiry for a single
one. So the server looks at its age, and leaves aside what nobody waits for any more.
"""

import os
import sys
import time
from itertools import chain

from dotenv import load_dotenv
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.errors import KafkaError

load_dotenv()
SERVERS = os.getenv("KAFKA_BOOTSTRAP_SERVERS", "localhost:9092").split(",")
if not all(server.rpartition(":")[2].strip().isdecimal() for server in SERVERS):
    sys.exit("KAFKA_BOOTSTRAP_SERVERS is malformed. Write it as .env.example does.")
# Four seconds until a Kafka that is down or silent fails, instead of thirty.
TIMEOUTS = {"bootstrap_timeout_ms": 4000, "request_timeout_ms": 4000}
KAFKA = {"bootstrap_servers": SERVERS, **TIMEOUTS}

REQUESTS, REPLIES = "track_metadata", "track_metadata_replies"
# Milliseconds until another server takes over from one that died: 45 seconds if unset.
GROUP = {"group_id": "metadata_servers", "session_timeout_ms": 6000}
TRACKS = {
    "Night Train": "The Sleepers, album Last Stop, 245 seconds",
    "Harbour Lights": "Salt and Tar, album Low Tide, 198 seconds",
}


def main():
    with KafkaAdminClient(**KAFKA) as admin:
        topics = [REQUESTS, REPLIES]
        admin.create_topics(topics, raise_errors=False, wait_for_metadata=True)
    with (
        KafkaProducer(**KAFKA, delivery_timeout_ms=5000) as producer,
        KafkaConsumer(
            REQUESTS, **KAFKA, **GROUP, auto_offset_reset="earliest"
        ) as consumer,
    ):
        for request in receive(consumer, "Waiting for requests. Press Ctrl-C to stop."):
            title = (request.value or b"").decode(errors="replace")
            if time.time() - request.timestamp / 1000 > 5:  # as long as a client waits
                print(f"Expired {title}")
            else:
                print(f"Looking up {title}")
                time.sleep(1)  # stands for the work
                # Left without an answer, the client would wait until its deadline.
                text = TRACKS.get(title, f"Unknown track: {title}")
                kind = b"metadata" if title in TRACKS else b"error"
                # The id goes back as it came: by it the client knows its reply.
                headers = [*request.headers, ("type", kind)]
                producer.send(REPLIES, text.encode(), headers=headers).get()
                print(f"Answered {title}")
            # At once, not on the timer: a server that is stopped would forget it.
            consumer.commit()


def receive(consumer, ready):
    batches = {}
    while True:
        if not batches:
            # poll() would wait for ever for a Kafka that is gone. This fails then.
            consumer.bootstrap(timeout_ms=4000, refresh=True)
        batches = consumer.poll(timeout_ms=500)
        if ready and consumer.assignment():
            print(ready)
            ready = None
        yield from chain.from_iterable(batches.values())


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass  # Ctrl-C is how a script is stopped
    except (KafkaError, OSError) as error:
        where, why = ", ".join(SERVERS), type(error).__name__
        sys.exit(f"Kafka at {where}: {why}. Try: python -m lab status kafka")
