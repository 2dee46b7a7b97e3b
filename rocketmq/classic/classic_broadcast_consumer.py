"""Broadcast, classic consumer: every listener gets every announcement.

    producer --> [ classic_releases ] --+--> listener 1
                                        +--> listener 2

Once: python ../rocketmq_setup.py. Then each line in its own terminal tab:

    python classic_broadcast_consumer.py
    python classic_broadcast_consumer.py
    python classic_broadcast_producer.py

All listeners are of one group, and each gets everything all the same: that is what the
model BROADCASTING means. Each keeps its own offsets, in a file of its own.
"""

import os
import socket
import sys
import time

from dotenv import load_dotenv
from rocketmq.client import MessageModel, PushConsumer
from rocketmq.exceptions import RocketMQException

load_dotenv()
NAMESRV = os.getenv("ROCKETMQ_NAMESRV_ADDR", "localhost:9876")
if not NAMESRV.rpartition(":")[2].isdecimal():
    sys.exit("ROCKETMQ_NAMESRV_ADDR is malformed. Write it as .env.example does.")
# Where both versions of the client look: their setters have different names.
os.environ["NAMESRV_ADDR"] = NAMESRV


def main():
    check_name_server()
    consumer = PushConsumer(
        "classic_listeners", message_model=MessageModel.BROADCASTING
    )
    consumer.subscribe("classic_releases", hear)
    consumer.set_thread_count(1)  # more would mix up the order
    consumer.start()
    try:
        print("Listening for announcements. Press Ctrl-C to stop.")
        while True:
            time.sleep(1)  # messages come in the client's thread
    finally:
        consumer.shutdown()  # without it, version 2.0.0 never ends


def hear(message):
    print(f"Heard {message.body.decode(errors='replace')}")
    return 0  # success, for version 2.0.0


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
