"""Topic, producer: sends songs and shows to topics with names of several words.

    producer --+--> [ catalogue.music.rock.classic ] --> consumers whose
               +--> [ catalogue.music.pop.hits ] ------> pattern fits the
               +--> [ catalogue.podcast.news ] --------> topic's name

Run each line in its own terminal tab:

    python kafka_topic_consumer.py "music.rock.*"
    python kafka_topic_consumer.py ".*"
    python kafka_topic_producer.py

What is a routing key on RabbitMQ is the name of a topic here. The producer does not
know who asks for what.
"""

import os
import sys

from dotenv import load_dotenv
from kafka import KafkaAdminClient, KafkaProducer
from kafka.errors import KafkaError

load_dotenv()
SERVERS = os.getenv("KAFKA_BOOTSTRAP_SERVERS", "localhost:9092").split(",")
if not all(server.rpartition(":")[2].strip().isdecimal() for server in SERVERS):
    sys.exit("KAFKA_BOOTSTRAP_SERVERS is malformed. Write it as .env.example does.")
# Four seconds until a Kafka that is down or silent fails, instead of thirty.
TIMEOUTS = {"bootstrap_timeout_ms": 4000, "request_timeout_ms": 4000}
KAFKA = {"bootstrap_servers": SERVERS, **TIMEOUTS}

RELEASES = [
    ("music.rock.classic", "Stone Bridge"),
    ("music.pop.hits", "Sugar Rain"),
    ("music.rock.indie", "Paper Boats"),
    ("music.rock.indie.live", "Paper Boats on Stage"),
    ("podcast.news", "Morning Briefing"),
]


def main():
    with KafkaAdminClient(**KAFKA) as admin:
        topics = {f"catalogue.{key}": {} for key, _ in RELEASES}
        admin.create_topics(topics, raise_errors=False, wait_for_metadata=True)
    with KafkaProducer(**KAFKA, delivery_timeout_ms=5000) as producer:
        for key, title in RELEASES:
            producer.send(f"catalogue.{key}", title.encode()).get()
            print(f"Sent {key}: {title}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass  # Ctrl-C is how a script is stopped
    except (KafkaError, OSError) as error:
        where, why = ", ".join(SERVERS), type(error).__name__
        sys.exit(f"Kafka at {where}: {why}. Try: python -m lab status kafka")
