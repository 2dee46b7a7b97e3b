"""What is measured of ActiveMQ."""

from benchmarks.figures import Figures, Measured, Part, python

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


def more(_: Figures, measured: Measured) -> None:
    for persistent in ("true", "false"):
        command = ("-c", ONE_BY_ONE, persistent)
        rate = int(python(*command, environment=measured.environment))
        print(f"    one by one, persistent: {persistent}: {rate:,}/s", flush=True)


PART = Part(
    broker="activemq",
    mb=250,
    bare=BARE_CLIENT,
    speeds=(
        "activemq_confirms_producer.py",
        "activemq_confirms_async_producer.py 100",
        "activemq_confirms_async_producer.py",
        "activemq_confirms_transaction_producer.py",
    ),
    more=more,
)
