"""Topic, consumer: gets the messages of the topics whose name fits its pattern.

    producer --+--> [ catalogue.music.rock.classic ] --> consumers whose
               +--> [ catalogue.music.pop.hits ] ------> pattern fits the
               +--> [ catalogue.podcast.news ] --------> topic's name

Run each line in its own terminal tab:

    python pulsar_topic_consumer.py "music.rock.*"
    python pulsar_topic_consumer.py ".*"
    python pulsar_topic_producer.py

The pattern is a regular expression: .* stands for anything, also with dots in it. A
topic made later is found within a minute. Without an argument: ".*", everything.
"""

import os
import re
import sys

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

# Their topics are made first: one that appears later is found only after a minute.
KEYS = [
    "music.rock.classic",
    "music.pop.hits",
    "music.rock.indie",
    "music.rock.indie.live",
    "podcast.news",
]
# What Python and the client, written in C++, read alike. With an expression that it
# cannot read, the client ends the whole process.
READABLE = re.compile(r"([\w.|()]|\\\.|\[\^?[\w.]+\]|[*+](?![*+]))+")


def main():
    pattern = " ".join(sys.argv[1:]) or ".*"
    try:
        fits = re.compile(pattern)
    except re.error:
        fits = None
    if not fits or not READABLE.fullmatch(pattern):
        usage = r"[REGEX] (of names and . * + | () [] [^] \. only)"
        print(f"Usage: python {sys.argv[0]} {usage}", file=sys.stderr)
        sys.exit(2)
    client = pulsar.Client(URL, **OPTIONS)
    for key in KEYS:
        client.create_producer(f"catalogue.{key}").close()
    if not any(map(fits.fullmatch, KEYS)):
        sys.exit(f"No topic fits {pattern}. There are: {', '.join(KEYS)}")
    topics = re.compile(rf"persistent://public/default/catalogue\.({pattern})")
    try:
        # Named after the pattern: two consumers cannot have this subscription.
        consumer = client.subscribe(topics, pattern)
    except pulsar.ConsumerBusy:
        sys.exit(f"ConsumerBusy: another consumer has the subscription {pattern}.")
    print(f"Waiting for {pattern}. Press Ctrl-C to stop.")
    for message in receive(client, consumer):
        key = message.topic_name().rpartition("/catalogue.")[2]
        print(f"Received {key}: {message.data().decode(errors='replace')}")
        consumer.acknowledge(message)


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
