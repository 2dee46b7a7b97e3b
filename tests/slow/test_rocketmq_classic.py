"""The client that came before: both pairs, live, in an environment of their own.

The wheel `rocketmq` has its library with it. Its successor, for which the scripts are
the same, cannot be installed by a test: rocketmq/classic/README.md says why.
"""

import hashlib
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from lab.broker import ROOT
from lab.cli import main
from tests.rows.rocketmq import send
from tests.support import Ended, finish, started, wait_until

FOLDER = ROOT / "rocketmq/classic"
TRACKS = [f"track {number}" for number in range(1, 7)]
RELEASES = ["album Night Train", "single Harbour Lights", "tour of six cities"]
TASKS_READY = "Waiting for tasks. Press Ctrl-C to stop."
RELEASES_READY = "Listening for announcements. Press Ctrl-C to stop."

pytestmark = pytest.mark.timeout(300)  # the first test installs the client


def has_wheel() -> bool:
    return sys.platform == "linux" and platform.machine() == "x86_64"


@pytest.fixture(scope="session")
def python() -> Path:
    """A Python with what classic/requirements.txt lists; made once for all runs."""
    if not has_wheel():
        pytest.skip("the wheel `rocketmq` is for Linux on x86-64 only")
    requirements = FOLDER / "requirements.txt"
    kind = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()
    user = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    ready = Path(user) / "message-broker-lab" / f"classic-{kind[:12]}"
    if not ready.exists():
        ready.parent.mkdir(parents=True, exist_ok=True)
        # Moved to its place when it is complete: other tests may be about it, too.
        made = Path(tempfile.mkdtemp(dir=ready.parent))
        subprocess.run([sys.executable, "-m", "venv", made], check=True)
        subprocess.run(
            [made / "bin/python", "-m", "pip", "install", "-q", "-r", requirements],
            check=True,
        )
        try:
            made.rename(ready)
        except OSError:  # another one was faster
            shutil.rmtree(made)
    return ready / "bin/python"


@pytest.fixture
def rocketmq(live):
    return live("rocketmq")


@pytest.fixture
def begin(python, rocketmq, tmp_path):
    """A function that starts a script; its logs and offsets go with the test."""
    environment = {
        **os.environ,
        **rocketmq.environment,
        "HOME": str(tmp_path),
        "PYTHONUNBUFFERED": "1",
    }

    def start(name: str, ready: str | None = None, **settings: str):
        process = subprocess.Popen(
            [python, FOLDER / name],
            env=environment | settings,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert ready is None or line(process) == ready
        return process

    return start


def line(process) -> str:
    """The next line that it prints."""
    return process.stdout.readline().rstrip("\n")


def stop(process) -> list[str]:
    """Press Ctrl-C; the lines that it still prints."""
    process.send_signal(signal.SIGINT)
    ended = finish(process)
    assert (ended.status, ended.error) == (0, [])
    return ended.out


def test_the_workers_share_the_tasks(begin):
    """Each gets some; one may be done twice, while the queues are being shared out."""
    workers = [begin("classic_consumer.py", TASKS_READY) for _ in range(2)]
    printed: list[list[str]] = [[], []]
    for worker, lines in zip(workers, printed, strict=True):
        reader = threading.Thread(target=collect, args=(worker, lines), daemon=True)
        reader.start()
    sent = finish(begin("classic_producer.py"))
    assert sent == Ended(0, [f"Sent {track}" for track in TRACKS], [])
    all_tracks = [f"Finished {track}" for track in TRACKS]
    wait_until(lambda: done([*printed[0], *printed[1]]) == all_tracks)
    assert all(printed)
    for worker in workers:
        worker.send_signal(signal.SIGINT)
        assert worker.wait(30) == 0


def collect(worker, lines: list[str]) -> None:
    for each in worker.stdout:
        lines.append(each.rstrip("\n"))


def done(printed: list[str]) -> list[str]:
    return sorted({each for each in printed if each.startswith("Finished ")})


def test_the_tasks_of_a_killed_worker_go_to_another_one(begin):
    doomed = begin("classic_consumer.py", TASKS_READY)
    assert finish(begin("classic_producer.py")).status == 0
    assert line(doomed).startswith("Encoding ")
    doomed.kill()
    other = begin("classic_consumer.py", TASKS_READY)
    printed: list[str] = []
    while len(done(printed)) < len(TRACKS):
        printed.append(line(other))
    stop(other)


def test_every_listener_hears_everything(begin):
    listeners = [
        begin("classic_broadcast_consumer.py", RELEASES_READY) for _ in range(2)
    ]
    sent = finish(begin("classic_broadcast_producer.py"))
    assert sent == Ended(0, [f"Announced {release}" for release in RELEASES], [])
    for listener in listeners:
        heard = sorted(line(listener) for _ in RELEASES)
        assert heard == [f"Heard {release}" for release in RELEASES]
    for listener in listeners:
        assert stop(listener) == []


def test_a_listener_that_comes_back_hears_what_it_has_missed(begin):
    """It remembers where it was; a new one, of another machine, does not."""
    listener = begin("classic_broadcast_consumer.py", RELEASES_READY)
    finish(begin("classic_broadcast_producer.py"))
    assert len([line(listener) for _ in RELEASES]) == 3
    assert stop(listener) == []
    finish(begin("classic_broadcast_producer.py"))
    listener = begin("classic_broadcast_consumer.py", RELEASES_READY)
    assert sorted(line(listener) for _ in RELEASES) == [f"Heard {r}" for r in RELEASES]
    assert stop(listener) == []


@pytest.mark.parametrize(
    "body", [b"\xff\xfe", b"x" * 1_000_000], ids=["not UTF-8", "1 MB"]
)
@pytest.mark.parametrize(
    ("name", "ready", "topic", "verb"),
    [
        ("classic_consumer.py", TASKS_READY, "classic_tasks", "Encoding"),
        ("classic_broadcast_consumer.py", RELEASES_READY, "classic_releases", "Heard"),
    ],
)
def test_no_body_stops_it(name, ready, topic, verb, body, begin, rocketmq):
    consumer = begin(name, ready)
    send(rocketmq.settings, topic, body)
    assert line(consumer).startswith(f"{verb} ")
    send(rocketmq.settings, topic, b"the next one")
    while line(consumer) != f"{verb} the next one":
        pass
    stop(consumer)


SCRIPTS = sorted(path.name for path in FOLDER.glob("*.py"))


@pytest.mark.parametrize("name", SCRIPTS)
@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("localhost:1", "RocketMQ at localhost:1: Connection refused. Try: python -m "),
        ("localhost", "ROCKETMQ_NAMESRV_ADDR is malformed. Write it as .env.example"),
    ],
)
def test_a_bad_address_is_one_line(name, address, says, begin):
    ended = finish(begin(name, ROCKETMQ_NAMESRV_ADDR=address))
    assert (ended.status, ended.out) == (1, [])
    (printed,) = ended.error
    assert printed.startswith(says)


@pytest.mark.parametrize("name", ["classic_producer.py", "classic_consumer.py"])
def test_the_scripts_share_their_settings_and_guard(name):
    """Each copy works alone: the blocks are repeated, not imported."""
    blocks = [block(FOLDER / each) for each in SCRIPTS]
    assert block(FOLDER / name) == blocks[0]
    assert len(set(blocks)) == 1


def block(path: Path) -> tuple[str, str]:
    text = path.read_text()
    settings = re.search(r"^load_dotenv\(\)\n.*?\n\n", text, re.M | re.S)[0]
    return settings, text[text.index("def check_name_server") :]


def test_the_readme_shows_what_the_scripts_print():
    readme = (FOLDER / "README.md").read_text()
    for text in (
        *(f"$ python {name}\n" for name in SCRIPTS),
        TASKS_READY,
        RELEASES_READY,
        *(f"    Sent {track}\n" for track in TRACKS),
        *(f"    Announced {release}\n" for release in RELEASES),
        *(f"    Heard {release}\n" for release in RELEASES),
    ):
        assert text in readme
    for link in re.findall(r"\]\(((?!http)[^)\s]+)\)", readme):
        assert (FOLDER / link).exists()
    for path in (FOLDER / "README.md", *FOLDER.glob("*.py")):
        for command in re.findall(r"python -m lab ([a-z]+)", path.read_text()):
            assert command in main.commands
