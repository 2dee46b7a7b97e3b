"""Work queue, classic producer: sends six tasks, each for one of the workers.

    producer --> [ classic_tasks ] --> group classic_encoders --+--> worker 1
                                                              +--> worker 2

Once: python ../rocketmq_setup.py. Then each line in its own terminal tab:

    python classic_consumer.py
    python classic_consumer.py
    python classic_producer.py

It asks the name server on port 9876 for the broker, and sends to the broker itself.
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


def main():
    check_name_server()
    # The client wants a name for the group of producers. It has no other effect here.
    producer = Producer("classic_requesters")
    producer.start()
    try:
        for number in range(1, 7):
            message = Message("classic_tasks")
            message.set_body(f"track {number}")
            # Waits until RocketMQ has stored it.
            producer.send_sync(message)
            print(f"Sent track {number}")
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
