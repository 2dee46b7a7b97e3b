"""Topics and groups, setup: makes what the other scripts use, each of its type.

    setup --> name server: which broker is there?
    setup --> broker: a topic of the type FIFO, a group that consumes in order, ...

Run it once, before everything else, and again whenever you like:

    python rocketmq_setup.py

A topic of RocketMQ takes messages of one type only, and a group knows whether it
consumes in order. Their administrator makes them, with mqadmin or as here: the client
library cannot. In production nobody lets them appear by themselves.
"""

import json
import os
import re
import socket
import struct
import sys

from dotenv import load_dotenv

load_dotenv()
NAMESRV = os.getenv("ROCKETMQ_NAMESRV_ADDR", "localhost:9876")
if not NAMESRV.rpartition(":")[2].isdecimal():
    sys.exit("ROCKETMQ_NAMESRV_ADDR is malformed. Write it as .env.example does.")

TOPICS = {
    "music_tasks": "NORMAL",
    "playlist_single": "FIFO",
    "playlist_plain": "NORMAL",
    "new_releases": "NORMAL",
    "service_logs": "NORMAL",
    "catalogue": "NORMAL",
    "booklets": "NORMAL",
    "track_metadata": "NORMAL",
    "track_metadata_replies": "NORMAL",
    "uploads": "NORMAL",
    # RocketMQ makes it at the first dead letter: too late for who waits for that one.
    "%DLQ%upload_encoders": "NORMAL",
    "royalties": "NORMAL",
    "purchases": "TRANSACTION",
    "new_tracks": "NORMAL",
    "vinyl_orders": "FIFO",
    "reminders": "DELAY",
    "song_requests": "PRIORITY",
    "classic_tasks": "NORMAL",
    "classic_releases": "NORMAL",
}
GROUPS = {
    "encoders": {},
    "players_single": {"consumeMessageOrderly": True},
    "players_plain": {},
    "listener_1": {},
    "listener_2": {},
    "listener_3": {},
    "log_readers_info": {},
    "log_readers_warning": {},
    "log_readers_error": {},
    "log_readers_critical": {},
    "log_readers_all": {},
    "archive": {},
    "rock_radio": {},
    "booklets_all": {},
    "booklets_any": {},
    "metadata_servers": {},
    "metadata_clients": {},
    "upload_encoders": {"retryMaxTimes": 2},  # three attempts, instead of 17
    "dead_letter_readers": {},
    "accountants": {},
    "album_unlockers": {},
    "party": {},
    "radio": {},
    "record_shop": {"consumeMessageOrderly": True},
    "reminder_listeners": {},
    "jukebox": {},
    "classic_encoders": {},
    "classic_listeners": {},
}
# The codes of three requests, as RocketMQ numbers them.
CLUSTER_INFO, UPDATE_TOPIC, UPDATE_GROUP = 106, 17, 200


def main():
    answer = ask(NAMESRV, CLUSTER_INFO).decode()
    brokers = re.findall(r'\d+:"([^"]+:\d+)"', answer)
    if not brokers:
        raise ConnectionError("it knows no broker yet")
    for name, message_type in TOPICS.items():
        topic = {"topic": name, "attributes": f"+message.type={message_type}"}
        topic |= {"readQueueNums": "4", "writeQueueNums": "4", "perm": "6"}
        topic |= {"defaultTopic": "TBW102", "topicFilterType": "SINGLE_TAG"}
        topic |= {"topicSysFlag": "0", "order": "false"}
        ask(brokers[0], UPDATE_TOPIC, topic)
    for name, options in GROUPS.items():
        group = {"groupName": name, "consumeEnable": True, **options}
        ask(brokers[0], UPDATE_GROUP, {}, json.dumps(group).encode())
    print("RocketMQ has the topics and groups of this tutorial.")


def ask(address, code, fields=None, body=b""):
    host, _, port = address.rpartition(":")
    header = {"code": code, "language": "PYTHON", "version": 0, "opaque": 1, "flag": 0}
    header |= {"extFields": fields or {}, "serializeTypeCurrentRPC": "JSON"}
    header = json.dumps(header).encode()
    with socket.create_connection((host, int(port)), 4) as connection:
        length = 4 + len(header) + len(body)
        connection.sendall(struct.pack(">ii", length, len(header)) + header + body)
        file = connection.makefile("rb")
        lengths = file.read(8)
        if len(lengths) < 8:
            raise ConnectionError("it does not answer as RocketMQ does")
        length, header_length = struct.unpack(">ii", lengths)
        header = json.loads(file.read(header_length))
        if header["code"]:
            raise ConnectionError(header.get("remark"))
        return file.read(length - 4 - header_length)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass  # Ctrl-C is how a script is stopped
    except json.JSONDecodeError:
        sys.exit(f"RocketMQ at {NAMESRV}: no name server. Its port is 9876, not 8081.")
    except OSError as error:
        why = getattr(error, "strerror", None) or error
        sys.exit(f"RocketMQ at {NAMESRV}: {why}. Try: python -m lab status rocketmq")
