"""Topic, producer: sends songs and shows under keys of several words.

                                music.rock.* +--> [ queue ] --> consumer 1
    producer --> ( catalogue ) --------------+
                  topic exchange           # +--> [ queue ] --> consumer 2

Run each line in its own terminal tab:

    python rabbitmq_topic_consumer.py "music.rock.*"
    python rabbitmq_topic_consumer.py "#"
    python rabbitmq_topic_producer.py

The producer names what a message is about. It does not know who asks for what.
"""

import os
import sys

import pika
from dotenv import load_dotenv
from pika.adapters.utils.connection_workflow import AMQPConnectorException

load_dotenv()
URLS = os.getenv("RABBITMQ_URLS", "amqp://guest:guest@localhost:5672/%2F").split(",")
try:
    NODES = [pika.URLParameters(url.strip()) for url in URLS]
except (IndexError, TypeError, ValueError):
    sys.exit("RABBITMQ_URLS is malformed. Write it as .env.example does.")
HOSTS = ", ".join(f"{node.host}:{node.port}" for node in NODES)
for node in NODES:
    node.socket_timeout = node.stack_timeout = 4  # seconds until a silent port fails

RELEASES = [
    ("music.rock.classic", "Stone Bridge"),
    ("music.pop.hits", "Sugar Rain"),
    ("music.rock.indie", "Paper Boats"),
    ("music.rock.indie.live", "Paper Boats on Stage"),
    ("podcast.news", "Morning Briefing"),
]


def main():
    with pika.BlockingConnection(NODES) as connection:
        channel = connection.channel()
        channel.exchange_declare("catalogue", "topic", durable=True)
        channel.confirm_delivery()
        for key, title in RELEASES:
            try:
                # Without mandatory RabbitMQ would drop in silence what no queue takes.
                channel.basic_publish("catalogue", key, title.encode(), mandatory=True)
                print(f"Sent {key}: {title}")
            except pika.exceptions.UnroutableError:
                print(f"Nobody listened to {key}: {title}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass  # Ctrl-C is how a script is stopped
    except pika.exceptions.ChannelClosedByBroker as error:
        sys.exit(f"{HOSTS}: {error.reply_text}. Try: python -m lab reset rabbitmq")
    except (pika.exceptions.AMQPError, AMQPConnectorException, OSError) as error:
        why = type(error).__name__
        sys.exit(f"RabbitMQ at {HOSTS}: {why}. Try: python -m lab status rabbitmq")
