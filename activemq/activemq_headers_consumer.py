"""Headers, consumer: gets the booklets whose headers match.

                           all: pdf AND fr +--> consumer 1
    producer --> ( booklets ) -------------+
                      topic                +--> consumer 2
                           any: pdf OR fr

Run each line in its own terminal tab:

    python activemq_headers_consumer.py all format=pdf language=fr
    python activemq_headers_consumer.py any format=pdf language=fr
    python activemq_headers_producer.py

A selector, a condition in the style of SQL, does it in ActiveMQ: what does not
match is never sent here. Without an argument: all format=pdf language=fr.
"""

import os
import queue
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
    match, *pairs = sys.argv[1:] or ["all", "format=pdf", "language=fr"]
    wanted = dict(pair.split("=", 1) for pair in pairs if pair.find("=") > 0)
    if match not in ("all", "any") or not pairs or len(wanted) < len(pairs):
        print(f"Usage: python {sys.argv[0]} all|any NAME=VALUE ...", file=sys.stderr)
        sys.exit(2)
    quoted = {name: value.replace("'", "''") for name, value in wanted.items()}
    conditions = [f"{name} = '{value}'" for name, value in quoted.items()]
    selector = (" AND " if match == "all" else " OR ").join(conditions)
    connection, inbox = stomp.Connection12(NODES, **OPTIONS), Inbox()
    connection.set_listener("inbox", inbox)
    connection.connect(*LOGIN)
    inbox.take(5)
    connection.subscribe(
        "/topic/booklets", id="b", selector=selector, receipt="subscribed"
    )
    try:
        inbox.take(5)
    except stomp.exception.StompException:
        sys.exit(f"ActiveMQ does not understand the selector {selector}")
    print(f"Waiting for {match} of {' '.join(pairs)}. Press Ctrl-C to stop.")
    while True:
        message = inbox.take()
        names = ("format", "language")
        labels = " ".join(message.headers.get(name, "no") for name in names)
        print(f"Received {message.body.decode(errors='replace')} ({labels})")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass  # Ctrl-C is how a script is stopped
    except (stomp.exception.StompException, queue.Empty, OSError) as error:
        why = str(error).rstrip(".") or "no answer"
        sys.exit(f"ActiveMQ at {HOSTS}: {why}. Try: python -m lab status activemq")
