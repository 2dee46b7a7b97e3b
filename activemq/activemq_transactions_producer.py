"""Transactions, producer: sends an album as a whole, or nothing of it.

    producer -- begin, track, track, commit --> [ album_tracks ] --> consumer
             -- begin, track, abort ----> nothing

Run each line in its own terminal tab:

    python activemq_transactions_consumer.py
    python activemq_transactions_producer.py

One track of Low Tide is broken, so the whole album is taken back. The same happens
if the producer dies before its commit.
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

ALBUMS = {
    "Night Train": ["track 1", "track 2"],
    "Low Tide": ["track 1", "broken track 2"],
}


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
    connection, inbox = stomp.Connection12(NODES, **OPTIONS), Inbox()
    connection.set_listener("inbox", inbox)
    connection.connect(*LOGIN)
    inbox.take(5)
    for album, tracks in ALBUMS.items():
        connection.begin(transaction=album)
        for track in tracks:
            text = f"{track} of {album}"
            # Without the transaction's name the track would be in the queue at once.
            headers = {"transaction": album, "persistent": "true", "receipt": text}
            connection.send("/queue/album_tracks", text.encode(), headers=headers)
            inbox.take(5)
            print(f"Sent {text}")
            time.sleep(0.5)  # stands for the next upload
        is_broken = any(track.startswith("broken") for track in tracks)
        end = connection.abort if is_broken else connection.commit
        end(transaction=album, receipt=album)
        inbox.take(5)
        print(f"{'Aborted' if is_broken else 'Committed'} {album}")
    connection.disconnect()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass  # Ctrl-C is how a script is stopped
    except (stomp.exception.StompException, queue.Empty, OSError) as error:
        why = str(error).rstrip(".") or "no answer"
        sys.exit(f"ActiveMQ at {HOSTS}: {why}. Try: python -m lab status activemq")
