"""Transaction, producer: books a sale and announces it, both or neither.

    producer -- 1. half message, hidden --> [ purchases ] --> consumer
        |    -- 3. commit, or rollback -->      |
        |    <-- "what became of it?" ----------+
        +-- 2. its own database --> SQLite

Once: python rocketmq_setup.py. Then each line in its own terminal tab:

    python rocketmq_transaction_consumer.py
    python rocketmq_transaction_producer.py

Kill it between 2 and 3, and start it again with the word resume: RocketMQ asks the
new one, whose checker looks into the database.
"""

import logging.handlers
import os
import re
import sqlite3
import sys
import threading
import time

from dotenv import load_dotenv
from grpc import RpcError
from rocketmq import (
    ClientConfiguration,
    Credentials,
    Message,
    Producer,
    TransactionChecker,
    TransactionResolution,
)
from rocketmq.v5.exception import ClientException

load_dotenv()
ENDPOINTS = os.getenv("ROCKETMQ_ENDPOINTS", "localhost:8081")
# One host, or several IP addresses: of several names the client takes none.
if not re.fullmatch(r"[^:;]+:\d+|[\d.]+:\d+(;[\d.]+:\d+)*", ENDPOINTS):
    sys.exit("ROCKETMQ_ENDPOINTS is malformed. Write it as .env.example does.")
ROCKETMQ = ClientConfiguration(ENDPOINTS, Credentials(), request_timeout=4)
ERRORS = ClientException, RpcError
# The client tells its log what its exceptions do not say: explain() reads it.
LOG = logging.handlers.BufferingHandler(1000)
logging.root.handlers = logging.getLogger("rocketmq-python-client").handlers = [LOG]
logging.captureWarnings(True)  # of a call that Ctrl-C has kept from starting

ALBUMS = {"Night Train": "paid", "Low Tide": "not paid", "Last Stop": "paid"}
# A file for each RocketMQ, because no other one asks about its sales.
FILE = "/tmp/purchases-" + re.sub(r"\W", "-", ENDPOINTS) + ".db"
# Not only for this thread: the client calls the checker in one of its own.
DATABASE = sqlite3.connect(FILE, isolation_level=None, check_same_thread=False)
HAS_ASKED = threading.Event()


def main():
    if sys.argv[1:] not in ([], ["resume"]):
        print(f"Usage: python {sys.argv[0]} [resume]", file=sys.stderr)
        sys.exit(2)
    DATABASE.execute("CREATE TABLE IF NOT EXISTS sales (message_id, album)")
    producer = Producer(ROCKETMQ, ["purchases"], Checker())
    producer.startup()
    try:
        # Fails if nobody is there: startup() does not, and resume would wait in vain.
        producer.route_manager.retrieve_topic_route_data("purchases")
        if sys.argv[1:]:
            print("Waiting for RocketMQ to ask, 20 seconds at most")
            if not HAS_ASKED.wait(20):
                print("RocketMQ has asked about nothing that is booked")
        else:
            DATABASE.execute("DELETE FROM sales")  # of the run before
            for album, payment in ALBUMS.items():
                sell(producer, album, payment)
    finally:
        producer.shutdown()  # its threads would keep this script from ending


def sell(producer, album, payment):
    message = Message()
    message.topic, message.body = "purchases", album.encode()
    transaction = producer.begin_transaction()
    # Refused or lost: then nothing has happened yet, here or there.
    producer.send(message, transaction)
    print(f"Sent {album}, still hidden")
    if payment == "paid":
        sale = message.message_id, album
        DATABASE.execute("INSERT INTO sales VALUES (?, ?)", sale)
        print(f"Booked {album}")
        time.sleep(1)  # time to kill it between the two
        transaction.commit()
        print(f"Committed {album}")
    else:
        transaction.rollback()
        print(f"Rolled back {album}: {payment}")


class Checker(TransactionChecker):
    def check(self, message):
        sql = "SELECT album FROM sales WHERE message_id = ?"
        sale = DATABASE.execute(sql, [message.message_id]).fetchone()
        if not sale:
            return TransactionResolution.ROLLBACK  # it died before it had booked
        print(f"RocketMQ asks about {sale[0]}: booked, so commit")
        HAS_ASKED.set()
        return TransactionResolution.COMMIT


def explain(error):
    log = f"{error} " + " ".join(record.getMessage() for record in LOG.buffer)
    if wrong := re.search(r"(the topic|group not found|types, topic): ?([^\s,]+)", log):
        state = "of another type" if "types" in wrong[1] else "missing"
        return f"{wrong[2]} is {state}. Try: python rocketmq_setup.py"
    why = error.details() if isinstance(error, RpcError) else str(error).rstrip(".")
    if "failed to fetch" in why and "RpcError" in log:
        why = "no proxy answers (8081 is its port, 9876 the name server's)"
    return f"{why}. Try: python -m lab status rocketmq"


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass  # Ctrl-C is how a script is stopped
    except Exception as error:  # which the client raises, too
        if type(error) is not Exception and not isinstance(error, ERRORS):
            raise  # a bug in this script
        sys.exit(f"RocketMQ at {ENDPOINTS}: {explain(error)}")
