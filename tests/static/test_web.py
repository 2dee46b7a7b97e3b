"""What the lab asks over HTTP, against servers of the tests' own."""

import base64
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.error import HTTPError

import pytest

from lab import web

TIMEOUT = 5


class Echo(BaseHTTPRequestHandler):
    """Answers with what it was asked; /no with status 404."""

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        heard = {
            "method": self.command,
            "headers": dict(self.headers),
            "body": self.rfile.read(length).decode(),
        }
        self.send_response(404 if self.path == "/no" else 200)
        self.end_headers()
        self.wfile.write(json.dumps(heard).encode())

    do_POST = do_DELETE = do_GET

    def log_message(self, *_) -> None:
        pass


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Echo) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_question_is_a_get_without_a_body(url):
    heard = json.loads(web.ask(url, timeout=TIMEOUT))
    assert (heard["method"], heard["body"]) == ("GET", "")
    assert "Authorization" not in heard["headers"]


def test_a_body_is_json_and_posted(url):
    heard = json.loads(web.ask(url, body=[{"type": "read"}], timeout=TIMEOUT))
    assert heard["method"] == "POST"
    assert heard["headers"]["Content-Type"] == "application/json"
    assert json.loads(heard["body"]) == [{"type": "read"}]


def test_method_login_and_headers(url):
    heard = json.loads(
        web.ask(
            url,
            method="DELETE",
            login="guest:a:b",
            headers={"Origin": "http://here"},
            timeout=TIMEOUT,
        )
    )
    assert heard["method"] == "DELETE"
    assert heard["headers"]["Origin"] == "http://here"
    kind, token = heard["headers"]["Authorization"].split()
    assert (kind, base64.b64decode(token)) == ("Basic", b"guest:a:b")


def test_a_no_has_its_status_and_its_reason(url):
    with pytest.raises(HTTPError) as failure:
        web.ask(f"{url}/no", timeout=TIMEOUT)
    with failure.value as answer:
        assert answer.code == 404
        assert json.loads(answer.read())["method"] == "GET"


@contextmanager
def server_that_says(answer: bytes) -> Iterator[str]:
    def serve() -> None:
        connection, _ = server.accept()
        with connection:
            while not connection.recv(4096).endswith(b"\r\n\r\n"):
                pass
            connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        thread.join()


def test_what_is_no_http_is_an_oserror():
    """AMQP's answer to what it does not understand."""
    with (
        server_that_says(b"AMQP\0\0\x09\x01") as url,
        pytest.raises(OSError, match="the answer is no HTTP"),
    ):
        web.ask(url, timeout=TIMEOUT)


def test_an_answer_that_is_no_text_is_a_valueerror():
    with (
        server_that_says(b"HTTP/1.0 200 OK\r\n\r\n\xff") as url,
        pytest.raises(ValueError, match="utf-8"),
    ):
        web.ask(url, timeout=TIMEOUT)
