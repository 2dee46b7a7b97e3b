"""RPC, server: looks up tracks for others and sends each the answer.

    client --> [ track_metadata ] ---------> server     title, correlation id
    client <-- [ track_metadata_replies ] <-- server    metadata, correlation id

Once: python rocketmq_setup.py. Then each line in its own terminal tab:

    python rocketmq_rpc_server.py
    python rocketmq_rpc_client.py
    python rocketmq_rpc_client.py "Lost Song"

RocketMQ keeps a request for days, and has no expiry for a single one. So the server
looks at its age, and leaves aside what nobody waits for any more.
"""

import logging.handlers
import os
import re
import sys
import time

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

TRACKS = {
    "Night Train": "The Sleepers, album Last Stop, 245 seconds",
    "Harbour Lights": "Salt and Tar, album Low Tide, 198 seconds",
}


def main():
    producer = Producer(ROCKETMQ)
    consumer = SimpleConsumer(ROCKETMQ, "metadata_servers", await_duration=1)
    try:
        producer.startup()
        consumer.startup()
        consumer.subscribe("track_metadata")
        for request in receive(consumer, "Waiting for requests. Press Ctrl-C to stop."):
            title = request.body.decode(errors="replace")
            if time.time() - request.born_timestamp / 1000 > 5:  # as long as they wait
                print(f"Expired {title}")
            else:
                print(f"Looking up {title}")
                time.sleep(1)  # stands for the work
                producer.send(answer(request, title))
                print(f"Answered {title}")
            consumer.ack(request)
    finally:
        consumer.shutdown()  # their threads would keep this script from ending
        producer.shutdown()


def answer(request, title):
    reply = Message()
    reply.topic = "track_metadata_replies"
    # Left without an answer, the client would wait until its deadline. Cut, because
    # RocketMQ takes no reply of more than 4 MB.
    text = TRACKS.get(title, f"Unknown track: {title[:100]}")
    reply.body = text.encode()
    # The correlation id goes back as it came: by it the client knows its reply.
    for name, value in request.properties.items():
        reply.add_property(name, value)
    reply.add_property("type", "metadata" if title in TRACKS else "error")
    return reply


def receive(consumer, ready):
    while True:
        try:
            # One task, hidden from the other workers for 10 seconds.
            messages = consumer.receive(1, 10)
        except InternalErrorException:
            # For a moment after the start RocketMQ does not know this consumer yet.
            if not ready or "group not found" in str(LOG.buffer):
                raise
            continue
        if ready:
            print(ready)
            ready = None
        yield from messages or ()


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
