"""Topic, producer: sends songs and shows under keys of several words.

                                       music.rock.* +--> group rock_radio
    producer --> [ catalogue ] ---------------------+
                                                  # +--> group archive

Once: python rocketmq_setup.py. Then each line in its own terminal tab:

    python rocketmq_topic_consumer.py rock_radio "music.rock.*"
    python rocketmq_topic_consumer.py archive "#"
    python rocketmq_topic_producer.py

The producer names what a message is about, as a whole and word by word. It does not
know who asks for what.
"""

import logging.handlers
import os
import re
import sys

from dotenv import load_dotenv
from grpc import RpcError
from rocketmq import ClientConfiguration, Credentials, Message, Producer
from rocketmq.v5.exception import ClientException

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

RELEASES = [
    ("music.rock.classic", "Stone Bridge"),
    ("music.pop.hits", "Sugar Rain"),
    ("music.rock.indie", "Paper Boats"),
    ("music.rock.indie.live", "Paper Boats on Stage"),
    ("podcast.news", "Morning Briefing"),
]


def main():
    producer = Producer(ROCKETMQ)
    producer.startup()
    try:
        for key, title in RELEASES:
            message = Message()
            message.topic = "catalogue"
            message.body = title.encode()
            message.add_property("key", key)
            # A filter compares whole properties: so each word is one.
            words = key.split(".")
            for number, word in enumerate(words, 1):
                message.add_property(f"word{number}", word)
            message.add_property("words", str(len(words)))
            producer.send(message)
            print(f"Sent {key}: {title}")
    finally:
        producer.shutdown()  # its threads would keep this script from ending


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
