"""Administration of RocketMQ: the requests that its own tool mqadmin sends.

The protocol, "remoting": a length, the length of a JSON header, the header, a body.
Request codes: RequestCode.java of
https://github.com/apache/rocketmq/tree/rocketmq-all-5.5.0/remoting
"""

import itertools
import json
import re
import socket
import struct
from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

from lab.broker import Endpoint

TIMEOUT = 4  # seconds

UPDATE_TOPIC = 17
ALL_TOPICS = 21
UPDATE_BROKER_CONFIG = 25
RUNTIME_INFO = 28
TIMER_METRICS = 61
CLUSTER_INFO = 106
UPDATE_GROUP = 200
ALL_GROUPS = 201
TOPIC_STATS = 202
GROUP_CONNECTIONS = 203
DELETE_GROUP = 207
GROUP_STATS = 208
DELETE_TOPIC_IN_BROKER = 215
DELETE_TOPIC_IN_NAMESRV = 216
SYSTEM_TOPICS = 305

SUCCESS = 0
NOT_ONLINE = 206  # a group without consumers


class RemotingError(OSError):
    """An answer that is none, or that says no."""

    def __init__(self, message: str, code: int | None = None):
        super().__init__(message)
        self.code = code


class Answer(NamedTuple):
    fields: Mapping[str, str]
    body: bytes

    def json(self):
        return json.loads(self.body or "{}")

    def numbers(self, name: str) -> list[int]:
        """All numbers of this name. What RocketMQ calls JSON is not always JSON."""
        return [
            int(found)
            for found in re.findall(rb'"%s":(\d+)' % name.encode(), self.body)
        ]


class Remoting:
    """A connection to a name server or a broker. Raises OSError where it fails."""

    def __init__(self, end: Endpoint):
        self.socket = socket.create_connection(end, TIMEOUT)
        self.file = self.socket.makefile("rb")
        self.requests = itertools.count(1)

    def __enter__(self) -> "Remoting":
        return self

    def __exit__(self, *_) -> None:
        self.file.close()
        self.socket.close()

    def ask(self, code: int, body: object = None, **fields: object) -> Answer:
        """Send a request and wait for its answer. Raises RemotingError, OSError.

        A ``body`` that is not bytes already is sent as JSON.
        """
        request = {
            "code": code,
            "language": "PYTHON",
            "version": 0,
            "opaque": next(self.requests),
            "flag": 0,
            "extFields": {name: str(value) for name, value in fields.items()},
            "serializeTypeCurrentRPC": "JSON",
        }
        header = json.dumps(request).encode()
        if not isinstance(body, bytes):
            body = b"" if body is None else json.dumps(body).encode()
        lengths = struct.pack(">ii", 4 + len(header) + len(body), len(header))
        self.socket.sendall(lengths + header + body)
        total, header_length = struct.unpack(">ii", self.read(8))
        header_length &= 0xFFFFFF  # the first byte names the format
        try:
            answer = json.loads(self.read(header_length))
            answer_code = answer["code"]
        except (ValueError, KeyError, TypeError):
            raise RemotingError("it speaks something else") from None
        data = self.read(total - 4 - header_length)
        if answer_code != SUCCESS:
            why = answer.get("remark") or f"code {answer_code}"
            raise RemotingError(why.splitlines()[0], answer_code)
        return Answer(answer.get("extFields") or {}, data)

    def read(self, count: int) -> bytes:
        with suppress(struct.error):
            data = self.file.read(count)
            if len(data) == count:
                return data
        raise RemotingError("the connection ended in mid-answer")


def brokers(namesrv: Remoting) -> list[Endpoint]:
    """The addresses of the brokers that a name server knows."""
    answer = namesrv.ask(CLUSTER_INFO)
    found = re.findall(rb'\d+:"([^":]+):(\d+)"', answer.body)
    return [Endpoint(host.decode(), int(port)) for host, port in found]
