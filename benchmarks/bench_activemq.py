"""Prints ActiveMQ's figures; ends with status 1 when a promised one is missed.

Run it with ``make bench``. README.md beside this file says what each figure means.
"""

import re
import sys

from figures import Figures, bring_up, broker_of_its_own, compare_producer, run

CONNECT = """
import os, queue, sys, time, stomp
host, port = os.environ["ACTIVEMQ_HOSTS"].split(":")
class Receipts(stomp.ConnectionListener):
    frames = queue.Queue()
    def on_receipt(self, frame):
        self.frames.put(frame)
connection = stomp.Connection12([(host, port)])
connection.set_listener("", Receipts())
connection.connect("admin", "admin", wait=True)
"""

# What activemq_producer.py sends, with nothing around it.
BARE_CLIENT = f"""
{CONNECT}
for number in range(1, 7):
    track = "track " + str(number)
    connection.send("/queue/music_tasks", track.encode(), persistent="true",
                    receipt=track)
    Receipts.frames.get()
"""


# Each message sent when the one before has its receipt; prints messages a second.
ONE_BY_ONE = f"""
{CONNECT}
began = time.monotonic()
for number in range(2000):
    connection.send("/queue/plays", b"play", persistent=sys.argv[1], receipt="r")
    Receipts.frames.get()
print(round(2000 / (time.monotonic() - began)))
"""


def main() -> None:
    figures = Figures()
    with broker_of_its_own("activemq") as measured:
        bring_up(figures, measured, in_seconds=6, mb=250)
        compare_producer(figures, measured, BARE_CLIENT)
        for name, *window in (
            ("activemq_confirms_producer.py",),
            ("activemq_confirms_async_producer.py", "100"),
            ("activemq_confirms_async_producer.py",),
            ("activemq_confirms_transaction_producer.py",),
        ):
            command = [sys.executable, f"activemq/{name}", *window]
            printed = run(*command, environment=measured.environment)
            print(re.search(r"Confirmed .*", printed)[0])
        for persistent in ("true", "false"):
            command = [sys.executable, "-c", ONE_BY_ONE, persistent]
            rate = int(run(*command, environment=measured.environment))
            print(f"One by one, persistent: {persistent}: {rate:,}/s")
    sys.exit(figures.missed > 0)


if __name__ == "__main__":
    main()
