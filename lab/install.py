"""Installs into ``.venv`` what a command of the Makefile needs:

    python3 -m lab.install rabbitmq    the lab, and RabbitMQ's scripts
    python3 -m lab.install tests       everything

Nothing is installed twice, and what is there stays. This runs before there is any
library, so it imports none.
"""

import fcntl
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from lab.broker import INTERRUPTED, ROOT, LabError
from lab.brokers import BROKERS

VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
# The checkout's path and the requirements that are installed, one a line. It is written
# last: without it, an installation was interrupted. And an environment knows its own
# path, so one that was moved or copied is none.
READY = VENV / "ready"
LOG = VENV / "install.log"
# Not the one of an environment, which may be the one that is made anew.
BASE = getattr(sys, "_base_executable", sys.executable)
LAST_LINES = 10  # of the log, shown when something fails
TESTS = "tests"
# Installs everything in two seconds where pip needs half a minute.
UV = "uv==0.13.9"


def files(name: str) -> list[str]:
    """The files of requirements for a broker, or for the tests. Raises LabError."""
    if name == TESTS:
        return ["requirements.txt", "requirements-dev.txt"]
    if name not in BROKERS:
        known = ", ".join((*BROKERS, TESTS))
        raise LabError(f"nothing is known of {name}. There are: {known}.")
    of_its_own = f"{name}/requirements.txt"
    return ["lab/requirements.txt", *BROKERS[name].software.requirements, of_its_own]


def requirements(file: str) -> set[str]:
    """The lines of a file, and of those that it names; the lab itself is no library."""
    found: set[str] = set()
    for line in (ROOT / file).read_text().splitlines():
        line = line.partition("#")[0].strip()
        if line.startswith("-r "):
            found |= requirements(os.path.join(os.path.dirname(file), line[3:]))
        elif line and line != "-e .":
            found.add(line)
    return found


def projects(lines: Iterable[str]) -> set[str]:
    """The names without extras and versions."""
    return {re.match(r"[\w.-]+", line)[0] for line in lines}


def installed() -> set[str] | None:
    """The requirements that are installed; None where there is no environment.

    Nor is there one whose installation was interrupted, or that belongs to a checkout
    in another place.
    """
    try:
        checkout, *lines = READY.read_text().splitlines()
    except (OSError, ValueError):
        return None
    return {*lines} if checkout == str(ROOT) and PYTHON.exists() else None


def install(names: Iterable[str]) -> None:
    """Install what is missing. Raises LabError."""
    named = list(dict.fromkeys(file for name in names for file in files(name)))
    wanted = set().union(*map(requirements, named))
    try:
        with one_at_a_time():
            there = installed()
            if there is not None and wanted <= there:
                return
            # Another version of what is there, too: it may need other libraries.
            if there is None or projects(wanted - there) & projects(there):
                there = set()
            new = [file for file in named if requirements(file) - there]
            print(f"Installing into {VENV.name}: {', '.join(new)}", flush=True)
            if not there:
                make_environment()
            READY.unlink(missing_ok=True)
            add(sorted(wanted - there))
            READY.write_text("\n".join([str(ROOT), *sorted(there | wanted), ""]))
    except OSError as error:
        raise LabError(
            f"cannot write to {error.filename or VENV}: {error.strerror}. Mend its "
            "permissions or make room, and try again."
        ) from None


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Wait until no other make installs anything into this checkout."""
    folder = os.open(ROOT, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def make_environment() -> None:
    """An empty one, in which every folder's Python finds the lab. Raises LabError."""
    uv = shutil.which("uv")
    if not uv and not importlib.util.find_spec("ensurepip"):
        raise LabError(
            "Python has no venv module. On Debian or Ubuntu: apt install python3-venv"
        )
    if VENV.is_symlink():
        VENV.unlink()
    elif VENV.exists():
        shutil.rmtree(VENV)
    VENV.mkdir()
    # With pip in it, as README.md tells to type that.
    with_uv = ["venv", "--seed", "--allow-existing", "--python", BASE]
    if not (uv and run(uv, *with_uv, str(VENV))):
        check(BASE, "-m", "venv", str(VENV))
    # A relative link, that a copy of the checkout does not run the lab of this one.
    (packages,) = VENV.glob("lib/python*/site-packages")
    (packages / "lab").symlink_to(os.path.relpath(ROOT / "lab", packages))


def add(wanted: list[str]) -> None:
    """Install these, with uv where it can be had, else with pip. Raises LabError."""
    pip = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "install"]
    uv = shutil.which("uv") or str(VENV / "bin" / "uv")
    # Where there is no uv for this machine, or it cannot go the way to the packages
    # that pip is told to go, pip does it alone. If that fails too, its log is shown.
    if not os.access(uv, os.X_OK):
        run(*pip, "--retries", "0", UV)
    with_uv = [uv, "pip", "install", "--compile-bytecode", "--python", str(PYTHON)]
    if not (os.access(uv, os.X_OK) and run(*with_uv, *wanted)):
        check(*pip, *wanted)


def check(*command: str) -> None:
    """Run a command that has to succeed. Raises LabError, after the end of its log."""
    if not run(*command):
        lines = LOG.read_text(errors="replace").splitlines()
        print(*lines[-LAST_LINES:], sep="\n", file=sys.stderr)
        raise LabError(
            f"the libraries cannot be installed: the lines above say why, and all of "
            f"them are in {LOG.relative_to(ROOT)}. Mend it, and try again."
        )


def run(*command: str) -> bool:
    """Whether the command succeeds; its output goes to the log.

    On a terminal, a line that is written anew shows the seconds and the log's end.
    """
    with LOG.open("a") as log:
        print("$", *command, file=log, flush=True)
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    began = time.monotonic()
    show = sys.stdout.isatty()
    try:
        while show and process.poll() is None:
            columns = shutil.get_terminal_size().columns
            last = LOG.read_text(errors="replace").splitlines()[-1].strip()
            line = f"{time.monotonic() - began:3.0f} s  {last}"
            print(f"\r{line[: columns - 1]}\x1b[K", end="", flush=True)
            time.sleep(0.2)
        return process.wait() == 0
    finally:
        if show:
            print("\r\x1b[K", end="", flush=True)
        if process.poll() is None:  # Ctrl-C: it has got that, too
            process.wait()


def main() -> None:
    try:
        install(sys.argv[1:])
    except LabError as error:
        text = str(error)
        sys.exit(text[:1].upper() + text[1:])
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
