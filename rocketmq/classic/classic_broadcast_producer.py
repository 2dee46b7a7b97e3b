"""Broadcast, classic producer: announces three releases to all listeners.

    producer --> [ classic_releases ] --+--> listener 1
                                        +--> listener 2

Once: python ../rocketmq_setup.py. Then each line in its own terminal tab:

    python classic_broadcast_consumer.py
    python classic_broadcast_consumer.py
    python classic_broadcast_producer.py

It sends as to a work queue. To whom the messages go is decided by those who listen.
"""

import os
import socket
import sys

from dotenv import load_dotenv
from rocketmq.client import Message, Producer
from rocketmq.exceptions import RocketMQException

load_dotenv()
NAMESRV = os.getenv("ROCKETMQ_NAMESRV_ADDR", "localhost:9876")
if not NAMESRV.rpartition(":")[2].isdecimal():
    sys.exit("ROCKETMQ_NAMESRV_ADDR is malformed. Write it as .env.example does.")
# Where both versions of the client look: their setters have different names.
os.environ["NAMESRV_ADDR"] = NAMESRV


RELEASES = ["album Night Train", "single Harbour Lights", "tour of six cities"]


def main():
    check_name_server()
    # The client wants a name for the group of producers. It has no other effect here.
    producer = Producer("classic_publishers")
    producer.start()
    try:
        for release in RELEASES:
            message = Message("classic_releases")
            message.set_body(release)
            # Waits until RocketMQ has stored it.
            producer.send_sync(message)
            print(f"Announced {release}")
    finally:
        producer.shutdown()  # without it, version 2.0.0 never ends


def check_name_server():
    # Without one, the client would wait in silence, or say something else.
    host, _, port = NAMESRV.rpartition(":")
    socket.create_connection((host, int(port)), timeout=4).close()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass  # Ctrl-C is how a script is stopped
    except (RocketMQException, OSError) as error:
        why = getattr(error, "strerror", None) or str(error).split(",")[0].rstrip(".")
        cure = "../rocketmq_setup.py" if "route" in why else "-m lab status rocketmq"
        sys.exit(f"RocketMQ at {NAMESRV}: {why}. Try: python {cure}")
