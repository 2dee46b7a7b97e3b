"""RPC, client: asks for the metadata of a track and waits for the reply.

    client --> [ track_metadata ] --> server     title, reply-to, correlation-id
    client <-- [ temporary queue ] <- server     metadata, correlation-id

Run each line in its own terminal tab:

    python activemq_rpc_server.py
    python activemq_rpc_client.py
    python activemq_rpc_client.py "Lost Song"

The client waits five seconds in all, then gives up: without a deadline it would
wait for ever for a server that is not there.
"""

import os
import queue
import sys
import time
import uuid

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

DEADLINE = 5  # seconds for the whole wait


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
    title = " ".join(sys.argv[1:]) or "Night Train"
    request_id = str(uuid.uuid4())
    connection, inbox = stomp.Connection12(NODES, **OPTIONS), Inbox()
    connection.set_listener("inbox", inbox)
    connection.connect(*LOGIN)
    inbox.take(5)
    # ActiveMQ makes this queue for this connection alone, and deletes it at its end.
    connection.subscribe("/temp-queue/replies", id="replies", receipt="subscribed")
    inbox.take(5)
    deadline = time.time() + DEADLINE
    request = {
        "reply-to": "/temp-queue/replies",
        "correlation-id": request_id,
        # Without it, a server that comes later works for a client that has left.
        "expires": int(deadline * 1000),  # milliseconds since 1970
    }
    connection.send("/queue/track_metadata", title.encode(), headers=request)
    print(f"Requested {title}")
    reply = None
    try:
        # One message is not enough: it may be a reply with another request's id.
        while not reply or reply.headers.get("correlation-id") != request_id:
            reply = inbox.take(max(0, deadline - time.time()))
    except queue.Empty:
        sys.exit(
            f"No reply within {DEADLINE} seconds. Is activemq_rpc_server.py running?"
        )
    text = reply.body.decode(errors="replace")
    if reply.headers.get("type") == "error":
        sys.exit(text)
    print(f"Received {title}: {text}")
    connection.disconnect()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass  # Ctrl-C is how a script is stopped
    except (stomp.exception.StompException, queue.Empty, OSError) as error:
        why = str(error).rstrip(".") or "no answer"
        sys.exit(f"ActiveMQ at {HOSTS}: {why}. Try: python -m lab status activemq")
