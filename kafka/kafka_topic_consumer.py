"""Topic, consumer: gets the messages of the topics whose name fits its pattern.

    producer --+--> [ catalogue.music.rock.classic ] --> consumers whose
               +--> [ catalogue.music.pop.hits ] ------> pattern fits the
               +--> [ catalogue.podcast.news ] --------> topic's name

Run each line in its own terminal tab:

    python kafka_topic_consumer.py "music.rock.*"
    python kafka_topic_consumer.py ".*"
    python kafka_topic_producer.py

The pattern is a regular expression, and the client compares it, not Kafka: .* stands
for anything, also with dots in it. Without an argument: ".*", everything.
"""

import os
import re
import sys
from itertools import chain

from dotenv import load_dotenv
from kafka import KafkaAdminClient, KafkaConsumer
from kafka.errors import KafkaError

load_dotenv()
SERVERS = os.getenv("KAFKA_BOOTSTRAP_SERVERS", "localhost:9092").split(",")
if not all(server.rpartition(":")[2].strip().isdecimal() for server in SERVERS):
    sys.exit("KAFKA_BOOTSTRAP_SERVERS is malformed. Write it as .env.example does.")
# Four seconds until a Kafka that is down or silent fails, instead of thirty.
TIMEOUTS = {"bootstrap_timeout_ms": 4000, "request_timeout_ms": 4000}
KAFKA = {"bootstrap_servers": SERVERS, **TIMEOUTS}

# Made before they are used: one that appears later is found only after a while.
TOPICS = [
    "catalogue.music.rock.classic",
    "catalogue.music.pop.hits",
    "catalogue.music.rock.indie",
    "catalogue.music.rock.indie.live",
    "catalogue.podcast.news",
]


def main():
    pattern = " ".join(sys.argv[1:]) or ".*"
    try:
        fits = re.compile(rf"catalogue\.({pattern})$")
    except re.error as error:
        print(f"Usage: python {sys.argv[0]} [REGEX] ({error})", file=sys.stderr)
        sys.exit(2)
    with KafkaAdminClient(**KAFKA) as admin:
        admin.create_topics(TOPICS, raise_errors=False, wait_for_metadata=True)
    if not any(map(fits.match, TOPICS)):
        sys.exit(f"No topic fits {pattern}. There are: {', '.join(TOPICS)}")
    with KafkaConsumer(**KAFKA, auto_offset_reset="latest") as consumer:
        consumer.subscribe(pattern=fits.pattern)
        ready = f"Waiting for {pattern}. Press Ctrl-C to stop."
        for message in receive(consumer, ready):
            key = message.topic.removeprefix("catalogue.")
            print(f"Received {key}: {(message.value or b'').decode(errors='replace')}")


def receive(consumer, ready):
    batches = {}
    while True:
        if not batches:
            # poll() would wait for ever for a Kafka that is gone. This fails then.
            consumer.bootstrap(timeout_ms=4000, refresh=True)
        batches = consumer.poll(timeout_ms=500)
        if ready and consumer.assignment():
            for partition in consumer.assignment():
                consumer.position(partition)  # fixes what "latest" is, now
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
