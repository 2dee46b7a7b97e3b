"""How long the first minute takes.

On Debian as root: the demo from nothing runs in another Debian, which has Python and
make only. README.md beside this file says what each figure means.
"""

import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from benchmarks.figures import Figures, Measured, broker_of_its_own, run
from lab.broker import ROOT, LabError

COMMANDS = 5  # runs of a command of the lab, of which the fastest counts

# Prints the folder of a Debian that root.sh has made, once.
MAKE_DEBIAN = """
. tests/debian/root.sh >&2
make_root "debian-$1-plain" "$1" python3,python3-venv,make,ca-certificates \
    usr/bin/make >&2
echo "$root"
"""
# Runs a command in such a folder. Its mounts and processes end with it.
IN_DEBIAN = """
root=$1
shift
for file in resolv.conf hosts ssl/certs/ca-certificates.crt; do
    cp "/etc/$file" "$root/etc/$file"
done
mount -t proc none "$root/proc"
mount --rbind /dev "$root/dev"
exec chroot "$root" "$@"
"""


@contextmanager
def debian_with_a_checkout() -> Iterator[str]:
    """A Debian of its own, with this checkout in /checkout; it goes at the end."""
    suite = platform.freedesktop_os_release()["VERSION_CODENAME"]
    root = run("sh", "-euc", MAKE_DEBIAN, "sh", suite, environment={}).strip()
    with tempfile.TemporaryDirectory() as folder:
        copy = f"{folder}/debian"
        run("cp", "-a", root, copy, environment={})
        listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = filter(None, run(*listed, environment={}).split("\0"))
        for name in filter(os.path.exists, names):
            target = Path(copy, "checkout", name)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(Path(name).read_bytes())
        yield copy


def first_finished_task(*command: str, environment: Mapping[str, str]) -> float:
    """The seconds until the command, a demo, prints that line. It has to succeed."""
    took = None
    began = time.monotonic()
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        text=True,
    ) as demo:
        for line in demo.stdout:
            if took is None and "Finished track" in line:
                took = time.monotonic() - began
    if demo.returncode or took is None:
        raise LabError(f"{' '.join(command)} failed.")
    return took


def demo(measured: Measured) -> list[str]:
    return ["make", "demo", f"PATTERN={measured.broker.name}/work-queue"]


def cold(measured: Measured) -> float:
    """Where there is nothing: no library, no broker, no download of an earlier time."""
    with debian_with_a_checkout() as root:
        return first_finished_task(
            *("unshare", "--mount", "--pid", "--fork", "--kill-child"),
            *("sh", "-euc", IN_DEBIAN, "sh", root),
            *(*demo(measured), "-C", "/checkout", "PYTHON=python3"),
            environment={
                **measured.environment,
                "HOME": "/root",
                "LAB_HOME": "/root/lab",
                "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            },
        )


def processor_seconds(*arguments: str, environment: Mapping[str, str]) -> float:
    """Of a command of the lab: user and system, the least of some runs."""
    found = []
    for _ in range(COMMANDS):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        run(sys.executable, "-m", "lab", *arguments, environment=environment)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        found.append(used)
    return min(found)


def measure(figures: Figures) -> None:
    is_root = os.geteuid() == 0
    for name, promise in ("rabbitmq", 50), ("activemq", 30):
        with broker_of_its_own(name) as measured:
            if is_root:
                figures.at_most(f"cold demo of {name}", cold(measured), promise, "s")
            else:
                print(f"cold demo of {name}: not measured, which needs root")
    with broker_of_its_own("rabbitmq") as measured:
        environment = measured.environment
        # What is missing is installed, and the broker's files are made.
        first_finished_task(*demo(measured), environment=environment)
        measured.instance.stop()
        warm = first_finished_task(*demo(measured), environment=environment)
        figures.at_most("warm demo of rabbitmq", warm, 12, "s")
        for arguments, promise in (("list",), 0.35), (("status", "rabbitmq"), 0.5):
            used = processor_seconds(*arguments, environment=environment)
            what = f"lab {' '.join(arguments)}, processor time"
            figures.at_most(what, used, promise, "s")
