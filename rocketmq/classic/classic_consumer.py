"""Work queue, classic consumer: each task goes to one of the workers.

    producer --> [ classic_tasks ] --> group classic_encoders --+--> worker 1
                                                              +--> worker 2

Once: python ../rocketmq_setup.py. Then each line in its own terminal tab:

    python classic_consumer.py
    python classic_consumer.py
    python classic_producer.py

The workers share the queues of the topic, not the single tasks: the client fetches
from the queues that are its own, and runs work() in a thread.
"""

import os
import socket
import sys
import time

from dotenv import load_dotenv
from rocketmq.client import PushConsumer
from rocketmq.exceptions import RocketMQException

load_dotenv()
NAMESRV = os.getenv("ROCKETMQ_NAMESRV_ADDR", "localhost:9876")
if not NAMESRV.rpartition(":")[2].isdecimal():
    sys.exit("ROCKETMQ_NAMESRV_ADDR is malformed. Write it as .env.example does.")
# Where both versions of the client look: their setters have different names.
os.environ["NAMESRV_ADDR"] = NAMESRV


def main():
    check_name_server()
    consumer = PushConsumer("classic_encoders")
    consumer.subscribe("classic_tasks", work)
    consumer.set_thread_count(1)  # more would encode several tasks at a time
    consumer.start()
    try:
        print("Waiting for tasks. Press Ctrl-C to stop.")
        while True:
            time.sleep(1)  # the work is done in the client's thread
    finally:
        consumer.shutdown()  # without it, version 2.0.0 never ends


def work(message):
    track = message.body.decode(errors="replace")
    print(f"Encoding {track}")
    time.sleep(1)  # stands for the work
    print(f"Finished {track}")
    return 0  # success; anything else, and version 2.0.0 shows the task again


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
