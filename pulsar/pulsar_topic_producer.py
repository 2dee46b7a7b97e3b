"""Topic, producer: sends songs and shows to topics with names of several words.

    producer --+--> [ catalogue.music.rock.classic ] --> consumers whose
               +--> [ catalogue.music.pop.hits ] ------> pattern fits the
               +--> [ catalogue.podcast.news ] --------> topic's name

Run each line in its own terminal tab:

    python pulsar_topic_consumer.py "music.rock.*"
    python pulsar_topic_consumer.py ".*"
    python pulsar_topic_producer.py

What is a routing key on RabbitMQ is the name of a topic here. The producer does not
know who asks for what.
"""

import os
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

RELEASES = [
    ("music.rock.classic", "Stone Bridge"),
    ("music.pop.hits", "Sugar Rain"),
    ("music.rock.indie", "Paper Boats"),
    ("music.rock.indie.live", "Paper Boats on Stage"),
    ("podcast.news", "Morning Briefing"),
]


def main():
    client = pulsar.Client(URL, **OPTIONS)
    for key, title in RELEASES:
        producer = client.create_producer(f"catalogue.{key}", send_timeout_millis=4000)
        # Waits until Pulsar has stored it, and fails where it cannot.
        producer.send(title.encode())
        print(f"Sent {key}: {title}")


if __name__ == "__main__":
    try:
        main()
    except (KeyboardInterrupt, pulsar.Interrupted):
        pass  # Ctrl-C is how a script is stopped
    except (pulsar.PulsarException, OSError) as error:
        why = str(error).removeprefix("Pulsar error: ")
        sys.exit(f"Pulsar at {SERVERS}: {why}. Try: python -m lab status pulsar")
