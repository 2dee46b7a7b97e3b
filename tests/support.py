"""Runs scripts the way a reader does, and waits for conditions."""

import base64
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

import pexpect
import psutil

from lab.broker import ROOT
from lab.brokers import BROKERS

PATIENCE = 30  # seconds
PROMISED_SECONDS = 10  # until a script says what is wrong with its broker, or ends


class Script(NamedTuple):
    broker: str
    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def is_setup(self) -> bool:
        """Whether it makes what the others use, and talks to somebody else for that."""
        return self.path.stem.endswith("_setup")

    @property
    def goes_on(self) -> bool:
        """Whether it waits for messages until it is stopped."""
        role = self.path.stem.rsplit("_", 1)[1]
        return role in ("consumer", "server", "reader", "processor")


SCRIPTS = [
    Script(name, path)
    for name, broker in BROKERS.items()
    for path in sorted(broker.folder.glob("*.py"))
]


def script(name: str) -> Script:
    return next(each for each in SCRIPTS if each.name == name)


def settings_block(script: Script) -> str:
    """From ``load_dotenv()`` to the next blank line."""
    text = script.path.read_text()
    return re.search(r"^load_dotenv\(\)\n.*?\n\n", text, re.M | re.S)[0]


class Tab:
    """A script in a pseudo-terminal."""

    def __init__(
        self, script: Path | str, *arguments: str, environment: Mapping[str, str]
    ):
        self.child = pexpect.spawn(
            sys.executable,
            [str(script), *arguments],
            env={**os.environ, **environment},
            echo=False,
            dimensions=(50, 500),
            encoding="utf-8",
            timeout=PATIENCE,
        )
        self.name = Path(script).name
        self.lines: list[str] = []  # so far

    def __enter__(self) -> "Tab":
        return self

    def __exit__(self, *_) -> None:
        if not self.child.closed:
            # Not close(force=True), which gives up after a tenth of a second.
            self.child.kill(signal.SIGKILL)
            self.child.wait()
            self.child.close()

    def line(self) -> str:
        """The next line that it prints; empty when it has ended.

        Raises pexpect.TIMEOUT.
        """
        try:
            line = self.child.readline().rstrip("\r\n")
        except pexpect.TIMEOUT:
            after = self.lines[-20:]
            raise pexpect.TIMEOUT(f"no line of {self.name} after {after}") from None
        self.lines.append(line)
        return line

    def wait_for(self, line: str) -> None:
        """Read until it prints this line; ``*`` stands for anything."""
        others = []
        while not fnmatchcase(printed := self.line(), line):
            assert printed, f"ended without printing {line}, with {others}"
            others.append(printed)

    def press_ctrl_c(self) -> None:
        self.child.sendintr()

    def end(self) -> tuple[int | None, int | None, list[str]]:
        """Wait for its end: exit status, or the signal that ended it; last lines."""
        # For all that is left to print, by a script that may have much to do.
        self.child.timeout = 2 * PATIENCE
        lines = self.child.read().split("\r\n")
        self.child.wait()
        self.child.close()
        return (
            self.child.exitstatus,
            self.child.signalstatus,
            [line for line in lines if line],
        )


@contextmanager
def in_order(
    path: Path, environment: Mapping[str, str], *arguments: str
) -> Iterator[tuple[Tab, Tab]]:
    """Two tabs of a consumer, the second started when the first is ready."""
    with Tab(path, *arguments, environment=environment) as first:
        assert first.line()
        with Tab(path, *arguments, environment=environment) as second:
            assert second.line()
            yield first, second


started: list[subprocess.Popen] = []  # by the test that runs


def start(path: Path | str, *arguments: str, environment: Mapping[str, str], **options):
    """Start a script with its output in pipes; it lives as long as the test at most."""
    process = subprocess.Popen(
        [sys.executable, str(path), *arguments],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )
    started.append(process)
    return process


def end_started() -> None:
    """Kill what a failed test has left: it would take the next ones' processor time."""
    while started:
        with started.pop() as process:
            process.kill()


class Ended(NamedTuple):
    status: int
    out: list[str]
    error: list[str]


def finish(process: subprocess.Popen, seconds: float = PATIENCE) -> Ended:
    try:
        out, error = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return Ended(process.returncode, out.splitlines(), error.splitlines())


def run(path: Path | str, *arguments: str, environment: Mapping[str, str]) -> Ended:
    return finish(start(path, *arguments, environment=environment))


def check_one_line(ended: Ended, *, says: tuple[str, ...], secret: str | None) -> None:
    assert ended.status == 1, ended
    assert len(ended.error) == 1, ended
    for words in says:
        assert words in ended.error[0]
    assert secret is None or secret not in ended.error[0]


def lab(*arguments: str, environment: Mapping[str, str], cwd: Path = ROOT) -> Ended:
    """Run ``python -m lab``."""
    process = start("-m", "lab", *arguments, environment=environment, cwd=cwd)
    return finish(process, seconds=100)


def topics_received(
    name: str, pattern: str, count: int, environment: Mapping[str, str]
) -> list[str]:
    """Whose messages the topic consumer gets, of all that the producer sends; sorted.

    So many, and then none.
    """
    path = script(f"{name}_topic_consumer.py").path
    with Tab(path, pattern, environment=environment) as tab:
        assert tab.line()
        run(script(f"{name}_topic_producer.py").path, environment=environment)
        lines = sorted(tab.line() for _ in range(count))
        tab.press_ctrl_c()
        assert tab.end() == (0, None, [])
    return [line.removeprefix("Received ").split(":")[0] for line in lines]


def each_of(processes: Iterable[psutil.Process], ask: Callable) -> list:
    """What they answer; a broker's helpers may have ended in the meantime."""
    answers = []
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            answers.append(ask(process))
    return answers


def wait_until(condition: Callable[[], bool], seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


def promised_page(ended: Ended) -> str | None:
    """Address and login of the page for the browser that `lab up` has named."""
    lines = [line.partition("browser: ")[2] for line in ended.out]
    return next(filter(None, lines), None)


def open_page(page: str, *, login: bool = True) -> int:
    """The HTTP status of a page, named as in ``Broker.page``."""
    address, user, password = re.fullmatch(r"(\S+) \((\S+) / (\S+)\)", page).groups()
    request = urllib.request.Request(address)
    if login:
        token = base64.b64encode(f"{user}:{password}".encode()).decode()
        request.add_header("Authorization", f"Basic {token}")
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
