"""RPC, client: asks for the metadata of a track and waits for the reply.

    client --> [ track_metadata ] ---------> server     title, correlation id
    client <-- [ track_metadata_replies ] <-- server    metadata, correlation id

Once: python rocketmq_setup.py. Then each line in its own terminal tab:

    python rocketmq_rpc_server.py
    python rocketmq_rpc_client.py
    python rocketmq_rpc_client.py "Lost Song"

All clients are of one group, so a reply may come to the wrong one, which then sends it
again. The client waits five seconds in all: without a deadline it would wait for ever
for a server that is not there.
"""

import logging.handlers
import os
import re
import sys
import time
import uuid

from dotenv import load_dotenv
from grpc import RpcError
from rocketmq import ClientConfiguration, Credentials, Message, Producer, SimpleConsumer
from rocketmq.v5.exception import ClientException, InternalErrorException

load_dotenv()
ENDPOINTS = os.getenv("ROCKETMQ_ENDPOINTS", "localhost:8081")
# One host, or several IP addresses: of several names the client takes none.
if not re.fullmatch(r"[^:;]+:\d+|[\d.]+:\d+(;[\d.]+:\d+)*", ENDPOINTS):
    sys.exit("ROCKETMQ_ENDPOINTS is malformed. Write it as .env.example does.")
ROCKETMQ = ClientConfiguration(ENDPOINTS, Credentials(), request_timeout=4)
ERRORS = ClientException, RpcError
# The client tells its log what its exceptions do not say: explain() reads it.
LOG = logging.handlers.BufferingHandler(1000)
logging.root.handlers = logging.getLogger("rocketmq-python-client").handlers = [LOG]
logging.captureWarnings(True)  # of a call that Ctrl-C has kept from starting

REQUESTS, REPLIES = "track_metadata", "track_metadata_replies"
DEADLINE = 5  # seconds for the whole wait


def main():
    title = " ".join(sys.argv[1:]).strip() or "Night Train"
    request_id = str(uuid.uuid4())
    producer = Producer(ROCKETMQ)
    consumer = SimpleConsumer(ROCKETMQ, "metadata_clients", await_duration=1)
    try:
        producer.startup()
        consumer.startup()
        consumer.subscribe(REPLIES)
        expires = time.time() + DEADLINE
        labels = {"correlation_id": request_id, "expires": str(expires)}
        send(producer, REQUESTS, title.encode(), labels)
        print(f"Requested {title}")
        for reply in receive(consumer, expires):
            is_mine = reply.properties.get("correlation_id") == request_id
            # For another client, if that one still waits: else it would go round.
            if not is_mine and reply.properties.get("expires", "") > str(time.time()):
                send(producer, REPLIES, reply.body, reply.properties)
            consumer.ack(reply)  # only now: an acknowledged reply is gone
            if is_mine:
                break
        else:
            why = "Is rocketmq_rpc_server.py running?"
            sys.exit(f"No reply within {DEADLINE} seconds. {why}")
    finally:
        consumer.shutdown()  # their threads would keep this script from ending
        producer.shutdown()
    text = reply.body.decode(errors="replace")
    if reply.properties.get("type") == "error":
        sys.exit(text)
    print(f"Received {title}: {text}")


def send(producer, topic, body, labels):
    message = Message()
    message.topic, message.body = topic, body
    for name, value in labels.items():
        message.add_property(name, value)
    producer.send(message)


def receive(consumer, until):
    while time.time() < until:
        try:
            # One at a time: the rest of several would be hidden from those it is for.
            yield from consumer.receive(1, 10) or ()
        except InternalErrorException:
            # For a moment after the start RocketMQ does not know this consumer yet.
            if "group not found" in str(LOG.buffer):
                raise


def explain(error):
    log = f"{error} " + " ".join(record.getMessage() for record in LOG.buffer)
    if wrong := re.search(r"(the topic|group not found|types, topic): ?([^\s,]+)", log):
        state = "of another type" if "types" in wrong[1] else "missing"
        return f"{wrong[2]} is {state}. Try: python rocketmq_setup.py"
    why = error.details() if isinstance(error, RpcError) else str(error).rstrip(".")
    if "failed to fetch" in why and "RpcError" in log:
        why = "no proxy answers (8081 is its port, 9876 the name server's)"
    return f"{why}. Try: python -m lab status rocketmq"


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass  # Ctrl-C is how a script is stopped
    except Exception as error:  # which the client raises, too
        if type(error) is not Exception and not isinstance(error, ERRORS):
            raise  # a bug in this script
        sys.exit(f"RocketMQ at {ENDPOINTS}: {explain(error)}")
