"""RPC, client: asks for the metadata of a track and waits for the reply.

    client --> [ track_metadata ] ---------> server    title, correlation id
    client <-- [ track_metadata_replies ] <-- server   metadata, correlation id

Run each line in its own terminal tab:

    python kafka_rpc_server.py
    python kafka_rpc_client.py
    python kafka_rpc_client.py "Lost Song"

All clients read the same topic of replies, and each takes the one with its id. The
client waits five seconds in all: without a deadline it would wait for ever for a
server that is not there.
"""

import os
import sys
import time
import uuid

from dotenv import load_dotenv
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError

load_dotenv()
SERVERS = os.getenv("KAFKA_BOOTSTRAP_SERVERS", "localhost:9092").split(",")
if not all(server.rpartition(":")[2].strip().isdecimal() for server in SERVERS):
    sys.exit("KAFKA_BOOTSTRAP_SERVERS is malformed. Write it as .env.example does.")
# Four seconds until a Kafka that is down or silent fails, instead of thirty.
TIMEOUTS = {"bootstrap_timeout_ms": 4000, "request_timeout_ms": 4000}
KAFKA = {"bootstrap_servers": SERVERS, **TIMEOUTS}

REQUESTS, REPLIES = "track_metadata", TopicPartition("track_metadata_replies", 0)
DEADLINE = 5  # seconds for the whole wait


def main():
    title = " ".join(sys.argv[1:]) or "Night Train"
    request_id = str(uuid.uuid4()).encode()
    with KafkaAdminClient(**KAFKA) as admin:
        topics = [REQUESTS, REPLIES.topic]
        admin.create_topics(topics, raise_errors=False, wait_for_metadata=True)
    with KafkaConsumer(**KAFKA) as consumer, KafkaProducer(**KAFKA) as producer:
        consumer.assign([REPLIES])
        consumer.seek_to_end(REPLIES)
        consumer.position(REPLIES)  # now: a reply before the first poll would be lost
        deadline = time.monotonic() + DEADLINE
        headers = [("correlation_id", request_id)]
        producer.send(REQUESTS, title.encode(), headers=headers).get(timeout=DEADLINE)
        print(f"Requested {title}")
        reply = None
        # One call is not enough: it returns with any reply, also with another's.
        while not reply and (left := deadline - time.monotonic()) > 0:
            for message in consumer.poll(timeout_ms=left * 1000).get(REPLIES, []):
                if dict(message.headers).get("correlation_id") == request_id:
                    reply = message

    if not reply:
        sys.exit(f"No reply within {DEADLINE} seconds. Is kafka_rpc_server.py running?")
    text = (reply.value or b"").decode(errors="replace")
    if dict(reply.headers).get("type") == b"error":
        sys.exit(text)
    print(f"Received {title}: {text}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass  # Ctrl-C is how a script is stopped
    except (KafkaError, OSError) as error:
        where, why = ", ".join(SERVERS), type(error).__name__
        sys.exit(f"Kafka at {where}: {why}. Try: python -m lab status kafka")
