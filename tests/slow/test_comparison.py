"""How the brokers differ: the behaviours of docs/comparison.md, one test for each."""

import re
import select

import pexpect
import pytest

from lab.broker import Report
from lab.brokers import BROKERS
from lab.local import INHERITED
from tests.parameters import every_broker, path_of
from tests.rows import ROWS
from tests.support import PATIENCE, Tab, in_order, run

MIB = 1 << 20


def heard_by(broker, rest: str):
    """How the row makes this script print something."""
    name = f"{broker.row.broker.name}_{rest}.py"
    return next(each for each in broker.row.heard if each.script == name)


@every_broker
def test_version(name, live, record):
    version = BROKERS[name].probe(live(name).settings)
    assert re.match(r"\d+\.\d+", version)
    record("behaviours", "version", name, "", version)


@every_broker
def test_who_keeps_what_is_done(name, live, record):
    """All tasks are done, and somebody comes who has never been there."""
    broker = live(name, settled=True)
    tasks = run(path_of(name, "producer"), environment=broker.environment).out
    with Tab(path_of(name, "consumer"), environment=broker.environment) as worker:
        for _ in tasks:
            worker.wait_for("Finished *")
        worker.press_ctrl_c()
        assert worker.end() == (0, None, [])
    found = len(broker.row.client.read_all(broker.settings))
    assert found in (0, len(tasks))
    says = "is gone"
    if found:
        broker.instance.stop()
        broker.instance.start(Report())
        left = len(broker.row.client.read_all(broker.settings))
        assert left in (0, found)
        says = "stays in the log" if left else "is gone after a restart at the latest"
    record("behaviours", "kept", name, says)


@every_broker
def test_what_a_late_subscriber_gets(name, live, record):
    broker = live(name, settled=True)
    sent = run(path_of(name, "fanout_producer"), environment=broker.environment)
    assert sent.status == 0
    heard = heard_by(broker, "fanout_consumer")

    def hears(*arguments: str) -> int:
        """How many of the old ones, of which the broker may lose the order."""
        path = path_of(name, "fanout_consumer")
        with Tab(path, *arguments, environment=broker.environment) as tab:
            assert tab.line()
            heard.send(broker.settings, b"the new one")
            new = heard.line.format(body="the new one")
            lines = [tab.line()]
            while new not in lines:
                lines.append(tab.line())
            tab.child.timeout = 3
            try:
                while True:
                    lines.append(tab.line())
            except pexpect.TIMEOUT:
                return len(lines) - 1

    found = hears()
    assert found == 0 or found >= len(sent.out)
    says = "what is old, too" if found else "nothing old"
    if broker.row.from_the_beginning:
        argument = " ".join(broker.row.from_the_beginning)
        assert says == "nothing old"
        assert hears(argument) >= len(sent.out)
        says = f"nothing old, or all if it asks for `{argument}`"
    record("behaviours", "late", name, says)


def next_line(*tabs: Tab) -> str:
    """What one of them prints next, whichever is first."""
    by_end = {tab.child.child_fd: tab for tab in tabs}
    read = [tab for tab in tabs if "\n" in tab.child.buffer]
    if not read:
        ends, _, _ = select.select([*by_end], [], [], PATIENCE)
        read = [by_end[end] for end in ends]
    return read[0].line()


@every_broker
def test_order_with_two_consumers(name, live, record):
    """Of six tracks the first takes longest: it ends first only if the others wait."""

    def keeps_order(consumer: tuple[str, ...], producer: tuple[str, ...]) -> bool:
        # Pulsar may show a message again to those who come when all others have left.
        broker = live(name, settled=True)
        path = path_of(name, "fifo_consumer")
        with in_order(path, broker.environment, *consumer) as (one, other):
            run(
                path_of(name, "fifo_producer"),
                *producer,
                environment=broker.environment,
            )
            begun, ended = [], []
            while len(ended) < 6:
                verb, _, track = next_line(one, other).partition(" ")
                (ended if verb == "Played" else begun).append(track)
            for tab in (one, other):
                tab.press_ctrl_c()  # killed, it might take an acknowledgement along
                assert tab.end() == (0, None, [])
        assert len(begun) == 6
        return begun == ended and begun[0] == "long track 1"

    assert keeps_order((), ())
    consumer, producer = ROWS[name].without_order
    assert not keeps_order(consumer, producer)
    who = "consumers and producer get" if producer else "the consumers get"
    record(
        "behaviours",
        "order",
        name,
        f"kept; lost if {who} the argument `{consumer[0]}`",
    )


@every_broker
def test_what_is_told_after_a_death(name, live, record):
    broker = live(name, settled=True)
    run(path_of(name, "producer"), environment=broker.environment)
    says = broker.row.client.told_after_a_death(broker.settings)
    record("behaviours", "count", name, says)


@pytest.mark.timeout(300)
@every_broker
def test_the_largest_message(name, new_broker, monkeypatch, record):
    """Found by halving, to a sixteenth of a MiB or to one percent; rounded."""
    # With the lab's small heap, memory would be ActiveMQ's limit. This is its own.
    monkeypatch.setattr("lab.local.INHERITED", (*INHERITED, "_JAVA_OPTIONS"))
    monkeypatch.setenv("_JAVA_OPTIONS", "-Xmx1g")
    broker = new_broker(name)
    run(path_of(name, "producer"), environment=broker.environment)
    send = heard_by(broker, "consumer").send

    def fits(size: int) -> bool:
        try:
            send(broker.settings, bytes(size))
        except Exception:  # the client's own
            return False
        return True

    assert fits(MIB // 2)
    low = MIB // 2
    while fits(2 * low):
        low *= 2
    high = 2 * low
    while high - low > max(MIB // 16, low // 100):
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    assert fits(MIB // 2)  # it was the size, and nothing else
    record(
        "behaviours",
        "largest",
        name,
        "what is larger is refused with an error",
        f"{low / MIB:.0f} MiB is taken",
    )


# The page
