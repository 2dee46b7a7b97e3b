"""A reader's hands are slow: minutes pass between two tabs, and tabs stay open.

Nothing that counts seconds, in a script, in its client or in its broker, may end the
script or make it deaf: heartbeats, sessions, leases, limits for idle connections.
"""

import re
import shlex
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pexpect
import pytest

from tests.parameters import every_broker, path_of, scripts_of
from tests.support import PATIENCE, Tab, finish, run, script, start

FIRST_PAUSE = 20  # seconds
AT_A_TIME = 4  # producers: all at once would not reach the broker in time
LONG_IDLE = 600  # seconds: an --idle of that length is a fault of its own in docs/


class Command(NamedTuple):
    """What a docstring says to type."""

    script: str
    arguments: tuple[str, ...]

    @property
    def path(self) -> Path:
        return script(self.script).path

    def run(self, environment: Mapping[str, str]) -> None:
        """Run it to its end; a producer may wait for each of its confirms."""
        finish(start(self.path, *self.arguments, environment=environment), 600)


def commands_of(path: Path) -> list[Command]:
    typed = re.findall(r"^    python (\w+\.py.*)$", path.read_text(), re.M)
    return [
        Command(name, tuple(arguments)) for name, *arguments in map(shlex.split, typed)
    ]


def printed(tab: Tab) -> str:
    """What it has printed since it was last asked. Raises AssertionError at its end."""
    try:
        return tab.child.read_nonblocking(65536, timeout=0)
    except pexpect.TIMEOUT:
        return ""
    except pexpect.EOF:
        raise AssertionError(f"{tab.child.args} has ended: {tab.end()}") from None


def check_each_hears(tabs: Mapping[Command, Tab]) -> None:
    """Each of them prints something."""
    deaf = dict(tabs)
    deadline = time.monotonic() + 2 * PATIENCE
    while deaf and time.monotonic() < deadline:
        for command, tab in tabs.items():
            if printed(tab):
                deaf.pop(command, None)
        time.sleep(0.05)
    assert not deaf.keys()


@pytest.mark.timeout(3 * LONG_IDLE)
@every_broker
def test_slow_hands(name, live, request, record):
    """All scripts of a broker that wait, at once: they hear their producer twice."""
    broker = live(name, settled=True)
    lives_on = {heard.script: heard.takes_the_next for heard in broker.row.heard}
    waiting = [each for each in scripts_of(name) if lives_on.get(each.name)]
    typed = {each.name: commands_of(each.path) for each in waiting}
    producers = {
        command
        for commands in typed.values()
        for command in commands
        if not script(command.script).goes_on
    }
    idle = request.config.getoption("--idle")
    with ExitStack() as stack:
        tabs = {}
        for each, commands in typed.items():
            command = next(c for c in commands if c.script == each)
            tab = Tab(command.path, *command.arguments, environment=broker.environment)
            tabs[command] = stack.enter_context(tab)
            assert "Press Ctrl-C to stop." in tab.line()
        for pause in (FIRST_PAUSE, idle):
            time.sleep(pause)
            for tab in tabs.values():
                printed(tab)  # of the time before
            with ThreadPoolExecutor(AT_A_TIME) as pool:
                sent = [pool.submit(p.run, broker.environment) for p in producers]
            for each in sent:
                each.result()
            check_each_hears(tabs)
        for command, tab in tabs.items():
            tab.press_ctrl_c()
            status, by_signal, _ = tab.end()
            assert (command.script, status, by_signal) == (command.script, 0, None)
    record(
        "faults",
        "idle" if idle >= LONG_IDLE else "slow",
        name,
        "every script that waits hears both; Ctrl-C: status 0",
        f"{len(tabs)} scripts",
    )


def test_a_message_at_each_phase_of_activemqs_heartbeat(live):
    """ActiveMQ is silent for two periods when a message has come in the first one.

    Of listeners that stomp.py's default had ended, a third was gone after it.
    """
    broker = live("activemq")
    listener = path_of("activemq", "fanout_consumer")
    with ExitStack() as stack:
        listeners = []
        for _ in range(25):  # the oldest is twelve seconds older than the youngest
            tab = Tab(listener, environment=broker.environment)
            listeners.append(stack.enter_context(tab))
            time.sleep(0.5)
        for tab in listeners:
            tab.wait_for("*Press Ctrl-C to stop.")
        run(path_of("activemq", "fanout_producer"), environment=broker.environment)
        time.sleep(15)
        for tab in listeners:
            assert printed(tab).count("Heard ") == 3
            assert printed(tab) == ""  # not its end either
