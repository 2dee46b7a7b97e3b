"""RPC, server: looks up tracks for others and sends each the answer.

    client --> [ track_metadata ] --> server     title, reply-to, correlation-id
    client <-- [ temporary queue ] <- server     metadata, correlation-id

Run each line in its own terminal tab:

    python activemq_rpc_server.py
    python activemq_rpc_client.py
    python activemq_rpc_client.py "Lost Song"

The server knows no client: each request says where its reply goes. Start a second
server, and the two share the requests.
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

TRACKS = {
    "Night Train": "The Sleepers, album Last Stop, 245 seconds",
    "Harbour Lights": "Salt and Tar, album Low Tide, 198 seconds",
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
    connection.subscribe(
        "/queue/track_metadata",
        id="requests",
        ack="client-individual",
        headers={"activemq.prefetchSize": 1},
        receipt="subscribed",
    )
    inbox.take(5)
    print("Waiting for requests. Press Ctrl-C to stop.")
    while True:
        request = inbox.take()
        title = request.body.decode(errors="replace")
        print(f"Looking up {title}")
        time.sleep(1)  # stands for the work
        # Left without an answer, the client would wait until its deadline.
        text = TRACKS.get(title, f"Unknown track: {title}").encode()
        kind = "metadata" if title in TRACKS else "error"
        # The correlation id goes back as it came: by it the client knows its reply.
        request_id = request.headers.get("correlation-id", "")
        reply = {"correlation-id": request_id, "type": kind, "receipt": "reply"}
        try:
            connection.send(request.headers["reply-to"], text, headers=reply)
            inbox.take(5)
            print(f"Answered {title}")
        except (KeyError, stomp.exception.StompException):
            # No reply-to, or the temporary queue has gone, as it does with its client.
            print(f"Nobody waits for {title}")
        connection.ack(request.headers["ack"])


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass  # Ctrl-C is how a script is stopped
    except (stomp.exception.StompException, queue.Empty, OSError) as error:
        why = str(error).rstrip(".") or "no answer"
        sys.exit(f"ActiveMQ at {HOSTS}: {why}. Try: python -m lab status activemq")
