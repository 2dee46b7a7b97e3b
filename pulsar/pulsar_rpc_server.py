"""RPC, server: looks up tracks for others and sends each the answer.

    client --> [ track_metadata ] ----------> server    title, reply_to, correlation_id
    client <-- [ track_metadata_replies ] <-- server    metadata, correlation_id

Run each line in its own terminal tab:

    python pulsar_rpc_server.py
    python pulsar_rpc_client.py
    python pulsar_rpc_client.py "Lost Song"

The server knows no client: each request says which topic its reply goes to. Its
subscription keeps requests for ever, so it looks at their age, and leaves aside what
nobody waits for any more.
"""

import os
import sys
import time

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

TRACKS = {
    "Night Train": "The Sleepers, album Last Stop, 245 seconds",
    "Harbour Lights": "Salt and Tar, album Low Tide, 198 seconds",
}


def main():
    client = pulsar.Client(URL, **OPTIONS)
    consumer = client.subscribe(
        "track_metadata",
        "metadata_servers",
        # Servers share the requests. By default a second one would be refused.
        pulsar.ConsumerType.Shared,
        # One request in advance: the others are for servers that have time.
        receiver_queue_size=1,
    )
    print("Waiting for requests. Press Ctrl-C to stop.")
    for request in receive(client, consumer):
        title = request.data().decode(errors="replace")
        # As long as a client waits. Pulsar keeps a request until it is acknowledged.
        if time.time() - request.publish_timestamp() / 1000 > 5:
            print(f"Expired {title}")
        else:
            print(f"Looking up {title}")
            time.sleep(1)  # stands for the work
            answer(client, request, title)
        consumer.acknowledge(request)


def answer(client, request, title):
    # Left without an answer, the client would wait until its deadline. Cut, because
    # Pulsar takes no reply of more than 5 MB.
    text = TRACKS.get(title, f"Unknown track: {title[:100]}")
    kind = "metadata" if title in TRACKS else "error"
    # The id goes back as it came: by it the client knows its reply.
    properties = {**request.properties(), "type": kind}
    topic = properties.pop("reply_to", "")
    try:
        producer = client.create_producer(topic, send_timeout_millis=4000)
        producer.send(text.encode(), properties)
        producer.close()
        print(f"Answered {title}")
    except (pulsar.InvalidTopicName, pulsar.TopicNotFound):
        print(f"Nobody waits for {title}")


def receive(client, consumer):
    while True:
        try:
            yield consumer.receive(timeout_millis=500)
        except pulsar.Timeout:
            # receive() would wait for ever for a Pulsar that is gone. This fails then.
            client.get_topic_partitions(consumer.topic())


if __name__ == "__main__":
    try:
        main()
    except (KeyboardInterrupt, pulsar.Interrupted):
        pass  # Ctrl-C is how a script is stopped
    except (pulsar.PulsarException, OSError) as error:
        why = str(error).removeprefix("Pulsar error: ")
        sys.exit(f"Pulsar at {SERVERS}: {why}. Try: python -m lab status pulsar")
