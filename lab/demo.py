"""What ``make demo`` runs: installs what a walkthrough needs, and runs it.

    python3 -m lab.demo                   the work queue, where possible on RabbitMQ
    python3 -m lab.demo kafka/replay      another walkthrough

As lab.install, it runs before there is any library.
"""

import os
import signal
import subprocess
import sys

from lab import docker
from lab.broker import INTERRUPTED, ROOT, LabError
from lab.brokers import BROKERS
from lab.install import PYTHON, install

FIRST = "rabbitmq/work-queue"
INSTEAD = "activemq/work-queue"  # of a broker that needs nothing of the system


def lab(*arguments: str) -> list[str]:
    return [str(PYTHON), "-m", "lab", *arguments]


def broker_of(walkthrough: str) -> str:
    return walkthrough.partition("/")[0]


def choose() -> str:
    """The walkthrough to show where none is named. Raises LabError."""
    broker, other = BROKERS[broker_of(FIRST)], BROKERS[broker_of(INSTEAD)]
    cure = broker.software.cure()
    if cure is None or docker.engine_answers():
        return FIRST
    install([broker.name])
    if subprocess.run(lab("status", broker.name), capture_output=True).returncode == 0:
        return FIRST  # somebody else's
    print(
        f"{broker.title} is not on this machine; to get it: {cure}. "
        f"The same on {other.title}, which needs only Python:",
        flush=True,
    )
    return INSTEAD


def main() -> None:
    try:
        walkthrough = sys.argv[1] if len(sys.argv) > 1 else choose()
        broker = broker_of(walkthrough)
        install([broker])
    except LabError as error:
        text = str(error)
        sys.exit(text[:1].upper() + text[1:])
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    # The lab itself answers a Ctrl-C: it stops what it has begun to start.
    signal.signal(signal.SIGINT, lambda *_: None)
    status = subprocess.run(lab("up", broker), cwd=ROOT).returncode
    if status:
        sys.exit(status)
    os.chdir(ROOT)
    os.execv(PYTHON, lab("run", walkthrough))


if __name__ == "__main__":
    main()
