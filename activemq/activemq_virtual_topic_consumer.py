"""Virtual topic, consumer: shares its application's queue with the others.

                                  +--> [ Consumer.charts... ] --+--> worker 1
    producer --> ( VirtualTopic.plays )                         +--> worker 2
                                  +--> [ Consumer.royalties... ] --> worker

Run each line in its own terminal tab:

    python activemq_virtual_topic_consumer.py charts
    python activemq_virtual_topic_consumer.py charts
    python activemq_virtual_topic_consumer.py royalties
    python activemq_virtual_topic_producer.py

ActiveMQ copies each play into the queue of every application, and the workers of an
application share it.
"""

import os
import queue
import sys
import time

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
    application = "".join(sys.argv[1:]) or "charts"
    if application not in ("charts", "royalties"):
        print(f"Usage: python {sys.argv[0]} [charts|royalties]", file=sys.stderr)
        sys.exit(2)
    connection, inbox = stomp.Connection12(NODES, **OPTIONS), Inbox()
    connection.set_listener("inbox", inbox)
    connection.connect(*LOGIN)
    inbox.take(5)
    connection.subscribe(
        # The name does it all: this queue gets what is sent to the topic of that name.
        f"/queue/Consumer.{application}.VirtualTopic.plays",
        id="plays",
        ack="client-individual",
        headers={"activemq.prefetchSize": 1},
        receipt="subscribed",
    )
    inbox.take(5)
    print(f"Counting plays for the {application}. Press Ctrl-C to stop.")
    while True:
        message = inbox.take()
        time.sleep(0.5)  # stands for the work
        connection.ack(message.headers["ack"])
        print(f"Counted {message.body.decode(errors='replace')}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass  # Ctrl-C is how a script is stopped
    except (stomp.exception.StompException, queue.Empty, OSError) as error:
        why = str(error).rstrip(".") or "no answer"
        sys.exit(f"ActiveMQ at {HOSTS}: {why}. Try: python -m lab status activemq")
