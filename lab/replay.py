"""Runs a walkthrough's tabs on a live broker and compares them with its README.

Each tab is a terminal of its own (a pseudo-terminal), so that the scripts behave as
under a reader's hands: output line by line, Ctrl-C as a key.
"""

import os
import re
import selectors
import shlex
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Protocol

import pexpect
import psutil

from lab.broker import Unavailable
from lab.brokers import BROKERS
from lab.walkthrough import Command, Group, Tab, Walkthrough

# How long nothing may happen while something is still awaited, in seconds. The longest
# silence by design is an RPC client's deadline of 5 seconds.
SILENCE_SECONDS = 60
# How long a script may take to end after Ctrl-C, in seconds.
END_SECONDS = 10
# How long to listen for lines too many once every expected line is there, in seconds.
# That nothing more comes is no event to wait for; a worker needs one second
# for a task.
QUIET_SECONDS = 2
POLL_SECONDS = 0.05
# How long a broker may take to notice that a script was killed, in seconds.
NOTICE_SECONDS = 10

# Wide enough that no line of a script is broken.
TERMINAL = (50, 500)

RATE = re.compile(r"[\d,.]*[1-9][\d,.]*/s")
EXPECTED_RATE = re.compile(r"~[\d,.]+/s")


class Difference(Exception):
    """A tab did not do what the README shows. The message says which and how."""


class View(Protocol):
    """Shows a replay while it runs."""

    def show(self, tab: str, text: str, *, typed: bool = False) -> None:
        """A new line in a tab; ``typed`` for what a reader types."""


class Silent:
    """Shows nothing."""

    def show(self, tab: str, text: str, *, typed: bool = False) -> None:
        pass


def same(expected: str, actual: str) -> bool:
    """Whether a line is the expected one, rates apart."""
    if not EXPECTED_RATE.search(expected):
        return expected == actual
    return EXPECTED_RATE.sub("~/s", expected) == RATE.sub("~/s", actual)


def starts_like(expected: list[str], actual: list[str]) -> bool:
    """Whether the actual lines are the first ones of the expected, or all of them."""
    return len(actual) <= len(expected) and all(map(same, expected, actual))


def missing(expected: list[str], actual: list[str]) -> list[str] | None:
    """The expected lines still to come, in any order; None if one is too many."""
    left = list(expected)
    for line in actual:
        match = next((each for each in left if same(each, line)), None)
        if match is None:
            return None
        left.remove(match)
    return left


def agrees(group: Group, expected: list[list[str]], actual: list[list[str]]) -> bool:
    """Whether the group's tabs can still become, or are, as the README shows them."""
    match group.way:
        case "exact":
            return starts_like(expected[0], actual[0])
        case "swap":
            return any(
                all(map(starts_like, expected, order))
                for order in (actual, actual[::-1])
            )
        case _:
            first_lines = all(
                starts_like(want[:1], have[:1])
                for want, have in zip(expected, actual, strict=True)
            )
            return first_lines and missing(rest(expected), rest(actual)) is not None


def complete(group: Group, expected: list[list[str]], actual: list[list[str]]) -> bool:
    """Whether tabs that agree have all their lines, and each shared tab got some."""
    if sum(map(len, actual)) < sum(map(len, expected)):
        return False
    return group.way != "share" or all(len(lines) > 1 for lines in actual)


def rest(tabs: list[list[str]]) -> list[str]:
    return [line for lines in tabs for line in lines[1:]]


def ports_of_connections(pid: int) -> set[int]:
    """The ports at a process's own end of its connections."""
    connections = psutil.Process(pid).net_connections("tcp")
    return {connection.laddr.port for connection in connections if connection.raddr}


def is_open(ports: set[int]) -> bool:
    """Whether either end of a connection of these ports is still open.

    False where the system does not say: macOS tells nobody but root.
    """
    with suppress(psutil.AccessDenied):
        return any(
            end.port in ports
            for connection in psutil.net_connections("tcp")
            if connection.status != psutil.CONN_TIME_WAIT
            for end in (connection.laddr, connection.raddr)
            if end
        )
    return False


class RunningTab:
    """A tab: its script in a pseudo-terminal, and what it has printed so far."""

    def __init__(
        self, tab: Tab, folder: str, environment: Mapping[str, str], view: View
    ):
        self.tab = tab
        self.folder = folder
        self.environment = environment
        self.view = view
        self.child: pexpect.spawn | None = None
        self.index = -1  # of the command that runs, or ran last
        self.lines: list[str] = []
        self.before = 0  # lines of the commands before this one
        self.keys: list[tuple[int, str]] = []  # still to be sent
        self.stopped_by: str | None = None
        self.ports: set[int] = set()  # its ends of the connections that ^KILL has cut
        self.partial = ""  # a line whose end has not been printed yet
        self.has_spoken = False  # the lab's own output, as of a reset, does not count

    @property
    def command(self) -> Command:
        return self.tab.commands[self.index]

    @property
    def is_running(self) -> bool:
        return self.child is not None and not self.child.closed

    @property
    def is_waiting(self) -> bool:
        """Whether it runs until somebody stops it, and nobody has."""
        return self.is_running and self.command.goes_on and not self.stopped_by

    @property
    def is_cut_short(self) -> bool:
        """Whether its script has ended before its last line."""
        missing_lines = self.before + len(self.command.lines) - len(self.lines)
        return self.child is not None and not self.is_running and missing_lines > 0

    @property
    def is_last(self) -> bool:
        return self.index == len(self.tab.commands) - 1

    def start_next(self) -> None:
        self.index += 1
        self.before = len(self.lines)
        self.keys = list(self.command.keys)
        self.stopped_by = None
        self.view.show(self.tab.name, f"$ {self.command.text}", typed=True)
        program, *arguments = shlex.split(self.command.text)
        self.child = pexpect.spawn(
            sys.executable if program == "python" else program,
            arguments,
            cwd=self.folder,
            env={**os.environ, **self.environment},
            echo=False,
            dimensions=TERMINAL,
            encoding="utf-8",
            codec_errors="replace",
        )

    def read(self) -> bool:
        """Take what the script has printed; False where there was nothing new."""
        try:
            self.partial += self.child.read_nonblocking(65536, timeout=0)
        except pexpect.TIMEOUT:
            return False
        except pexpect.EOF:
            self.finish()
            return True
        *whole, self.partial = self.partial.split("\r\n")
        self.add(whole)
        return True

    def add(self, lines: list[str]) -> None:
        for line in lines:
            self.lines.append(line)
            self.has_spoken |= not self.command.is_preparation
            self.view.show(self.tab.name, line)

    def finish(self) -> None:
        """The script has ended: check how."""
        if self.partial:
            self.add([self.partial])
            self.partial = ""
        self.child.wait()
        self.child.close()
        status, by_signal = self.child.exitstatus, self.child.signalstatus
        if self.stopped_by == "^KILL":
            good = by_signal == signal.SIGKILL
        else:
            good = status == self.command.status
        if not good:
            ending = f"status {status}" if by_signal is None else f"signal {by_signal}"
            raise Difference(
                f"{self.tab.name}: {self.command.text} ended with {ending} "
                f"instead of status {self.command.status}: {self.lines[-3:]}"
            )
        if self.command.goes_on and self.stopped_by is None:
            raise Difference(
                f"{self.tab.name}: {self.command.text} ended by itself, "
                "though its first line says that it goes on"
            )

    def press_next(self) -> None:
        _, key = self.keys.pop(0)
        self.press(key)

    def press(self, key: str) -> None:
        self.stopped_by = key
        self.view.show(self.tab.name, key, typed=True)
        if key == "^C":
            self.child.sendintr()
        else:
            self.ports = ports_of_connections(self.child.pid)
            os.kill(self.child.pid, signal.SIGKILL)

    def abandon(self) -> None:
        """End the script whatever it is doing."""
        if self.is_running:
            with suppress(OSError, pexpect.ExceptionPexpect):
                self.child.close(force=True)


class Replay:
    """One run of a walkthrough.

    ``environment`` is added to the scripts' environment: there the tests put the
    address of their own broker.
    """

    def __init__(
        self,
        walkthrough: Walkthrough,
        environment: Mapping[str, str] | None = None,
        view: View | None = None,
    ):
        self.walkthrough = walkthrough
        self.broker = BROKERS.get(walkthrough.folder.name)
        self.settings = {**os.environ, **(environment or {})}
        self.tabs = {
            tab.name: RunningTab(
                tab, str(walkthrough.folder), environment or {}, view or Silent()
            )
            for tab in walkthrough.tabs
        }
        self.interrupted = False
        self.waits_for_broker = False  # to notice a death, as it was last asked
        self.consumers_left: int | None = None  # when the broker has noticed a death
        self.patient_until = 0.0  # for that

    def interrupt(self, *_) -> None:
        """End the replay soon, with KeyboardInterrupt: a handler for SIGINT.

        Without it, a Ctrl-C at the moment a tab is opened gets lost: Python ignores
        exceptions in what it runs after a fork.
        """
        self.interrupted = True

    def run(self) -> None:
        """Run all tabs to their end. Raises Difference at the first thing that differs.

        Whatever happens, no script is left running.
        """
        try:
            self.play()
            self.listen(QUIET_SECONDS)
            self.stop_what_goes_on()
        finally:
            for tab in self.tabs.values():
                tab.abandon()

    def play(self) -> None:
        """Start tabs and send keys until every expected line is there."""
        silent_since = time.monotonic()
        while not self.is_complete():
            if self.start_what_is_due() or self.read():
                silent_since = time.monotonic()
            elif time.monotonic() - silent_since > SILENCE_SECONDS:
                raise Difference(
                    f"nothing happened for {SILENCE_SECONDS} seconds\n{self.report()}"
                )

    def is_complete(self) -> bool:
        return all(
            tab.is_last and not tab.keys and (tab.is_waiting or not tab.is_running)
            for tab in self.tabs.values()
        ) and all(
            complete(group, *self.group(group)) for group in self.walkthrough.groups
        )

    def start_what_is_due(self) -> bool:
        """Send the next key, start the next script; False if nothing is due."""
        for tab in self.tabs.values():
            if self.key_is_due(tab):
                if tab.keys[0][1] == "^KILL" and tab.command.goes_on:
                    self.await_a_consumer_less()
                tab.press_next()
                return True
        self.waits_for_broker = self.is_death_unnoticed()
        if self.waits_for_broker:
            return False
        for tab in self.tabs.values():
            if not (tab.is_running or tab.is_last):
                tab.start_next()
                return True
            if not tab.has_spoken:
                return False  # the tabs after this one wait for its first line
        return False

    def is_death_unnoticed(self) -> bool:
        """Whether the broker still keeps its end of a killed script's connection open.

        The next script has to find a broker that knows.
        """
        killed = [tab for tab in self.tabs.values() if tab.ports]
        for tab in killed:
            if is_open(tab.ports):
                return True
            tab.ports.clear()
        if self.consumers_left is not None:
            count = self.count_consumers()
            if count is None or count <= self.consumers_left:
                self.consumers_left = None
        return self.consumers_left is not None and time.monotonic() < self.patient_until

    def await_a_consumer_less(self) -> None:
        """Before the next script starts; where the broker counts them at once."""
        if count := self.count_consumers():
            self.consumers_left = count - 1
            self.patient_until = time.monotonic() + NOTICE_SECONDS

    def count_consumers(self) -> int | None:
        """Those of the pattern; None where the broker does not say, or too late."""
        if self.broker is None or not self.broker.counts_at_once:
            return None
        pattern = self.broker.pattern(self.walkthrough.name.partition("/")[2])
        things = self.broker.creates[pattern]
        with suppress(Unavailable):
            contents = self.broker.contents(self.broker.settings(self.settings))
            return sum(each.consumers or 0 for each in contents if each.thing in things)
        return None

    def key_is_due(self, tab: RunningTab) -> bool:
        """Whether the lines above the tab's next key have appeared.

        A line may come in another tab of the same group; so in a group, all that the
        other tabs show must have come as well.
        """
        if not (tab.is_running and tab.keys):
            return False
        name = tab.tab.name
        names = next(g.tabs for g in self.walkthrough.groups if name in g.tabs)
        together = [self.tabs[each] for each in names]
        have = sum(len(each.lines) - each.before for each in together)
        want = sum(len(each.command.lines) for each in together if each is not tab)
        return have >= want + tab.keys[0][0]

    def read(self) -> bool:
        """Wait a moment for output and compare it; False where there was none."""
        if self.interrupted:
            raise KeyboardInterrupt
        with selectors.DefaultSelector() as selector:
            for tab in self.tabs.values():
                if tab.is_running:
                    selector.register(tab.child.child_fd, selectors.EVENT_READ, tab)
            if not selector.get_map() and not self.waits_for_broker:
                raise Difference(f"every script has ended\n{self.report()}")
            ready = [key.data for key, _ in selector.select(POLL_SECONDS)]
        news = [tab.read() for tab in ready]
        for group in self.walkthrough.groups:
            if not agrees(group, *self.group(group)) or (
                group.way in ("exact", "any")
                and any(self.tabs[name].is_cut_short for name in group.tabs)
            ):
                raise Difference(self.report())
        return any(news)

    def listen(self, seconds: float) -> None:
        """Wait for lines too many."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.running():
            self.read()

    def stop_what_goes_on(self) -> None:
        for tab in self.running():
            tab.press("^C")
        end = time.monotonic() + END_SECONDS
        while self.running():
            self.read()
            if time.monotonic() > end:
                names = ", ".join(tab.tab.name for tab in self.running())
                raise Difference(f"{names}: still running after Ctrl-C")

    def running(self) -> list[RunningTab]:
        return [tab for tab in self.tabs.values() if tab.is_running]

    def group(self, group: Group) -> tuple[list[list[str]], list[list[str]]]:
        tabs = [self.tabs[name] for name in group.tabs]
        return [tab.tab.lines() for tab in tabs], [tab.lines for tab in tabs]

    def report(self) -> str:
        """Where tabs and README differ, or what is still missing."""
        parts = []
        for group in self.walkthrough.groups:
            expected, actual = self.group(group)
            if agrees(group, expected, actual) and complete(group, expected, actual):
                continue
            for name, want, have in zip(group.tabs, expected, actual, strict=True):
                parts.append(f"{name}, as {self.walkthrough.readme} shows it:")
                parts += [f"    {line}" for line in want]
                parts.append(f"{name}, as it was (compared: {group.way}):")
                parts += [f"    {line}" for line in have]
        return "\n".join(parts) or "all lines are there, but a script did not end"
