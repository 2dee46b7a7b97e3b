"""What a pattern promises, whichever the broker: nothing lost, nobody left waiting."""

import re
import select
import time
from contextlib import suppress
from pathlib import Path

import pytest

from lab.broker import Report
from lab.brokers import BROKERS
from tests.rows import ROWS
from tests.support import PATIENCE, Tab, finish, in_order, run, script, start

every_broker = pytest.mark.parametrize("name", BROKERS)
DEADLINE = 5  # seconds, of the RPC client
# Until a broker dies in a run that takes a fifth of a second.
TRIES = 5


def path_of(name: str, rest: str):
    return script(f"{name}_{rest}.py").path


# The work queue


@every_broker
def test_a_worker_killed_in_mid_task_loses_nothing(name, live):
    broker = live(name, settled=True)
    with in_order(path_of(name, "consumer"), broker.environment) as workers:
        doomed, other = workers
        tasks = run(path_of(name, "producer"), environment=broker.environment).out
        assert len(tasks) == 6
        interrupted = doomed.line().removeprefix("Encoding ")
        doomed.child.kill(9)
        killed = time.monotonic()
        lines = []
        while f"Encoding {interrupted}" not in lines:
            lines.append(other.line())
            assert lines[-1]
        assert time.monotonic() - killed < 15
        while len(lines) < 2 * len(tasks):
            lines.append(other.line())
    finished = [line for line in lines if line.startswith("Finished ")]
    assert sorted(finished) == [task.replace("Sent", "Finished") for task in tasks]


@every_broker
@pytest.mark.parametrize("end", ["stop", "kill"])
def test_tasks_survive_the_end_of_the_broker(end, name, new_broker):
    broker = new_broker(name)
    sent = run(path_of(name, "producer"), environment=broker.environment).out
    getattr(broker.instance, end)()
    broker.instance.start(Report())
    missing = {line.replace("Sent", "Finished") for line in sent}
    with Tab(path_of(name, "consumer"), environment=broker.environment) as worker:
        while missing:
            line = worker.line()
            assert line
            missing.discard(line)


# First in, first out


def first_to_speak(one: Tab, other: Tab) -> tuple[Tab, Tab]:
    """The two tabs, the one that prints something first in front."""
    ends = [one.child.child_fd, other.child.child_fd]
    (spoken, *_), _, _ = select.select(ends, [], [], PATIENCE)
    return (one, other) if spoken == ends[0] else (other, one)


@every_broker
@pytest.mark.parametrize("victim", ["active", "standby"])
def test_fifo_order_survives_a_killed_player(victim, name, live):
    broker = live(name, settled=True)
    with in_order(path_of(name, "fifo_consumer"), broker.environment) as players:
        run(path_of(name, "fifo_producer"), environment=broker.environment)
        active, standby = players
        if not broker.row.active_player:
            active, standby = first_to_speak(*players)
        assert active.line() == "Playing long track 1"
        killed, survivor = (active, standby)[:: 1 if victim == "active" else -1]
        killed.child.kill(9)
        lines = [survivor.line() for _ in range(12 if victim == "active" else 11)]
    played = [line for line in lines if line.startswith("Played ")]
    assert played == ["Played long track 1"] + [
        f"Played track {n}" for n in range(2, 7)
    ]


# Confirms


def kill_at_work(broker) -> None:
    """SIGKILL the broker as soon as it has the first payment, and without delay.

    All payments are sent within a third of a second: there is no time to look for the
    broker's processes, or to open a connection.
    """
    processes = broker.instance.processes()
    # The connection ends with the broker, whatever that is called by its client.
    with suppress(Exception), broker.row.count_payments(broker.settings) as count:
        deadline = time.monotonic() + PATIENCE
        while not count() and time.monotonic() < deadline:
            pass
        for process in processes:
            process.kill()
    broker.instance.kill()


def payments_stored(broker) -> int:
    with broker.row.count_payments(broker.settings) as count:
        return count()


@every_broker
def test_confirmed_messages_survive_the_death_of_the_broker(name, new_broker):
    broker = new_broker(name)
    payments = broker.row.payments
    asynchronous = path_of(name, "confirms_async_producer")
    for command in (
        [path_of(name, "confirms_producer")],
        [asynchronous, "100"],
        [asynchronous],
    ):
        ended = finish(start(*command, environment=broker.environment), 60)
        assert ended.status == 0
        assert ended.out[0].startswith(f"Confirmed {payments} payments")
    broker.instance.kill()
    broker.instance.start(Report())
    assert payments_stored(broker) == 3 * payments


def ten_times(path: Path, payments: int, folder: Path) -> tuple[Path, int]:
    """A copy of the script that sends ten times as many payments, and their number."""
    more = folder / f"{payments * 10}_payments.py"
    text, found = re.subn(
        rf"^(.*\bCOUNT = .*)\b{payments}$",
        rf"\g<1>{payments * 10}",
        path.read_text(),
        flags=re.M,
    )
    assert found == 1
    more.write_text(text)
    return more, payments * 10


@every_broker
@pytest.mark.parametrize("window", ["1", "100", ""])
def test_the_number_of_unconfirmed_messages_is_true(window, name, new_broker, tmp_path):
    """The broker dies in mid-run: what was confirmed is there, and little else."""
    path, payments = path_of(name, "confirms_async_producer"), ROWS[name].payments
    for _ in range(TRIES):
        broker = new_broker(name)
        producer = start(path, window, environment=broker.environment)
        kill_at_work(broker)
        ended = finish(producer, 10)
        if ended.status:
            break
        # It was done before the broker died.
        path, payments = ten_times(path, payments, tmp_path)
    assert ended.status == 1
    (line,) = ended.error
    assert f"python -m lab status {name}" in line
    (count,) = ended.out
    unconfirmed = int(count.removesuffix(f" of {payments} payments are not confirmed"))
    assert 0 < unconfirmed <= payments
    broker.instance.start(Report())
    confirmed = payments - unconfirmed
    on_their_way = int(window or payments)
    assert confirmed <= payments_stored(broker) <= confirmed + on_their_way


@every_broker
def test_a_producer_that_waits_for_each_confirm_notices_the_end(name, new_broker):
    broker = new_broker(name)
    path = path_of(name, "confirms_producer")
    producer = start(path, environment=broker.environment)
    kill_at_work(broker)
    ended = finish(producer, 10)
    assert ended.status == 1
    assert ended.out == []
    (line,) = ended.error
    assert f"python -m lab status {name}" in line


# RPC


@pytest.fixture
def rpc(live):
    """A function that starts a client and, for it, a server of the test's own."""

    def begin(name: str, *arguments: str):
        broker = live(name)
        client = path_of(name, "rpc_client")
        return broker.row.rpc_server(broker.settings), lambda: start(
            client, *arguments, environment=broker.environment
        )

    return begin


@every_broker
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


@every_broker
def test_rpc_stale_replies_do_not_prolong_the_wait(name, rpc):
    served, ask = rpc(name)
    with served as server:
        client = ask()
        server.wait_for_request()
        began = time.monotonic()
        while client.poll() is None:
            assert time.monotonic() < began + 2 * DEADLINE
            server.reply("not for you", stale=True)
            time.sleep(1)  # one every second: what a deadline per event falls for
        ended = finish(client)
    # The wait began a little before the request was seen, and is looked at each second.
    assert DEADLINE - 1 <= time.monotonic() - began <= DEADLINE + 3
    assert ended.status == 1
    assert ended.error == [
        f"No reply within 5 seconds. Is {name}_rpc_server.py running?"
    ]


@every_broker
def test_rpc_without_a_server_takes_five_seconds(name, live):
    """From its request on: on a busy machine, Python may take seconds to start."""
    broker = live(name, settled=True)
    environment = broker.environment | {"PYTHONUNBUFFERED": "1"}
    client = start(path_of(name, "rpc_client"), environment=environment)
    assert client.stdout.readline() == "Requested Night Train\n"
    began = time.monotonic()
    ended = finish(client)
    assert DEADLINE - 0.5 <= time.monotonic() - began <= DEADLINE + 4
    assert ended.status == 1
    assert len(ended.error) == 1


@every_broker
def test_rpc_error_answer_is_one_line_and_status_1(name, live):
    broker = live(name, settled=True)
    with Tab(path_of(name, "rpc_server"), environment=broker.environment) as server:
        assert server.line()
        client = path_of(name, "rpc_client")
        ended = run(client, "Lost Song", environment=broker.environment)
    assert ended.status == 1
    assert ended.error == ["Unknown track: Lost Song"]


@every_broker
def test_rpc_each_client_gets_its_own_reply(name, live):
    broker = live(name, settled=True)
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
