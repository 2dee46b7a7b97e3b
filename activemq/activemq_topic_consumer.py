"""Topic, consumer: gets the messages whose topic fits its patterns.

                                         music.rock.* +--> consumer 1
    producer --> ( catalogue.music.rock.classic ) ----+
                 ( catalogue.music.pop.hits ) ...   > +--> consumer 2

Run each line in its own terminal tab:

    python activemq_topic_consumer.py "music.rock.*"
    python activemq_topic_consumer.py ">"
    python activemq_topic_producer.py

* stands for exactly one word, > at the end for any number, also none: RabbitMQ's #.
Keep the quotes: the shell has a meaning of its own for both. Without an argument:
">", everything.
"""

import os
import queue
import re
import sys

import stomp
from dotenv import load_dotenv

load_dotenv()
HOSTS = os.getenv("ACTIVEMQ_HOSTS", "localhost:61613")
LOGIN = os.getenv("ACTIVEMQ_USER", "admin"), os.getenv("ACTIVEMQ_PASSWORD", "admin")
NODES = [tuple(node.strip().split(":")) for node in HOSTS.split(",")]
if not all(len(node) == 2 and node[0] and node[1].isdecimal() for node in NODES):
    sys.exit("ACTIVEMQ_HOSTS is malformed. Write it as .env.example does.")
# Bodies stay bytes: one that is not UTF-8 would end the connection.
OPTIONS = {"timeout": 4, "reconnect_attempts_max": 1, "auto_decode": False}
# Milliseconds between two signs of life, ours and ActiveMQ's. After a message ActiveMQ
# leaves one out: stomp.py, which gives up after 1.5 periods, has to wait for three.
OPTIONS |= {"heartbeats": (3000, 1500), "heart_beat_receive_scale": 3}
stomp.log.setLevel("CRITICAL")  # what goes wrong is said once, at the end of the script


class Inbox(queue.Queue, stomp.ConnectionListener):
    # The client's thread puts frames in, main() takes them out: a task that was worked
    # on in the client's thread would hold up the signs of life.
    on_connected = on_receipt = on_message = on_error = queue.Queue.put

    def on_disconnected(self):
        self.put(None)

    def take(self, seconds=None):
        frame = self.get(timeout=seconds)
        if frame is None:
            raise ConnectionError("the connection is lost")
        if frame.cmd == "ERROR":
            raise stomp.exception.StompException(frame.body.split(b"\n")[0].decode())
        return frame


def main():
    patterns = sys.argv[1:] or [">"]
    if not all(re.fullmatch(r"([\w*]+\.)*([\w*]+|>)", each) for each in patterns):
        print(
            f'Usage: python {sys.argv[0]} ["music.rock.*"] [">"] ...', file=sys.stderr
        )
        sys.exit(2)
    connection, inbox = stomp.Connection12(NODES, **OPTIONS), Inbox()
    connection.set_listener("inbox", inbox)
    connection.connect(*LOGIN)
    inbox.take(5)
    # A message that fits two patterns of one subscription is still delivered once.
    topics = ",".join(f"/topic/catalogue.{pattern}" for pattern in patterns)
    connection.subscribe(topics, id="releases", ack="auto", receipt="subscribed")
    inbox.take(5)
    print(f"Waiting for {', '.join(patterns)}. Press Ctrl-C to stop.")
    while True:
        message = inbox.take()
        key = message.headers["destination"].removeprefix("/topic/catalogue.")
        print(f"Received {key}: {message.body.decode(errors='replace')}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass  # Ctrl-C is how a script is stopped
    except (stomp.exception.StompException, queue.Empty, OSError) as error:
        why = str(error).rstrip(".") or "no answer"
        sys.exit(f"ActiveMQ at {HOSTS}: {why}. Try: python -m lab status activemq")
