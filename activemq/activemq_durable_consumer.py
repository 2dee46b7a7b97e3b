"""Durable, consumer: hears later what was announced while it was away.

    producer --> ( concerts ) --+--> [ kept for the phone ] ---> phone
                    topic       +--> [ kept for the laptop ] --> laptop

Run each line in its own terminal tab:

    python activemq_durable_consumer.py phone
    python activemq_durable_consumer.py laptop
    python activemq_durable_producer.py

Stop the phone, announce again, start the phone: it catches up. ActiveMQ keeps the
announcements under the subscriber's name until it has acknowledged them.
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
    name = "".join(sys.argv[1:]) or "phone"
    if name not in ("phone", "laptop"):
        print(f"Usage: python {sys.argv[0]} [phone|laptop]", file=sys.stderr)
        sys.exit(2)
    connection, inbox = stomp.Connection12(NODES, **OPTIONS), Inbox()
    connection.set_listener("inbox", inbox)
    # By this name ActiveMQ knows it again. A second one of the name is turned away.
    connection.connect(*LOGIN, headers={"client-id": name})
    inbox.take(5)
    connection.subscribe(
        "/topic/concerts",
        id="concerts",
        ack="client-individual",
        # Without it the subscription would end with the connection, as in fanout.
        headers={"activemq.subscriptionName": "concerts"},
        receipt="subscribed",
    )
    inbox.take(5)
    print(f"Listening on the {name}. Press Ctrl-C to stop.")
    while True:
        message = inbox.take()
        connection.ack(message.headers["ack"])
        print(f"Heard {message.body.decode(errors='replace')}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass  # Ctrl-C is how a script is stopped
    except (stomp.exception.StompException, queue.Empty, OSError) as error:
        why = str(error).rstrip(".") or "no answer"
        sys.exit(f"ActiveMQ at {HOSTS}: {why}. Try: python -m lab status activemq")
