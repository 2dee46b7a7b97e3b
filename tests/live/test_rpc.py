"""What the request/reply of every broker promises: nobody is left waiting."""

import time

import pytest

from tests.parameters import every_broker_in, path_of
from tests.support import PATIENCE, Tab, finish, run, start

DEADLINE = 5  # seconds, of the RPC client


@pytest.fixture
def rpc(shared):
    """A function that starts a client and, for it, a server of the test's own."""

    def begin(name: str, *arguments: str):
        broker = shared(name, "rpc")
        client = path_of(name, "rpc_client")
        return broker.row.rpc_server(broker.settings), lambda: start(
            client, *arguments, environment=broker.environment
        )

    return begin


@every_broker_in("rpc")
def test_rpc_ignores_a_stale_reply(name, rpc):
    served, ask = rpc(name, "Night Train")
    with served as server:
        client = ask()
        server.wait_for_request()
        server.reply("not for you", stale=True)
        server.reply("for you")
        ended = finish(client)
    assert ended.status == 0
    assert ended.out == ["Requested Night Train", "Received Night Train: for you"]


@every_broker_in("rpc")
def test_rpc_stale_replies_do_not_prolong_the_wait(name, rpc):
    served, ask = rpc(name)
    began = time.monotonic()
    with served as server:
        client = ask()
        server.wait_for_request()
        while client.poll() is None:
            assert time.monotonic() < began + PATIENCE
            server.reply("not for you", stale=True)
            time.sleep(1)  # one every second: what a deadline per event falls for
        ended = finish(client)
    assert time.monotonic() - began >= DEADLINE
    assert ended.status == 1
    assert ended.error == [
        f"No reply within 5 seconds. Is {name}_rpc_server.py running?"
    ]


@every_broker_in("rpc")
def test_rpc_without_a_server_takes_five_seconds(name, shared):
    """The wait begins between the script's start and the line that it prints."""
    broker = shared(name, "rpc")
    environment = broker.environment | {"PYTHONUNBUFFERED": "1"}
    began = time.monotonic()
    client = start(path_of(name, "rpc_client"), environment=environment)
    assert client.stdout.readline() == "Requested Night Train\n"
    ended = finish(client)
    assert time.monotonic() - began >= DEADLINE
    assert ended.status == 1
    assert len(ended.error) == 1


@every_broker_in("rpc")
def test_rpc_error_answer_is_one_line_and_status_1(name, shared):
    broker = shared(name, "rpc")
    with Tab(path_of(name, "rpc_server"), environment=broker.environment) as server:
        assert server.line()
        client = path_of(name, "rpc_client")
        ended = run(client, "Lost Song", environment=broker.environment)
    assert ended.status == 1
    assert ended.error == ["Unknown track: Lost Song"]


@every_broker_in("rpc")
def test_rpc_each_client_gets_its_own_reply(name, shared):
    broker = shared(name, "rpc")
    client = path_of(name, "rpc_client")
    with Tab(path_of(name, "rpc_server"), environment=broker.environment) as server:
        assert server.line()
        titles = "Night Train", "Harbour Lights", "Night Train"
        clients = [
            start(client, title, environment=broker.environment) for title in titles
        ]
        for title, each in zip(titles, clients, strict=True):
            ended = finish(each)
            assert ended.status == 0
            assert ended.out[1].startswith(f"Received {title}: ")
