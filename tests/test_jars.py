"""Java archives: the ones of the lock file, with exactly that content, or none."""

import gc
import subprocess
import sys
from itertools import pairwise

import pytest

from lab import jars
from lab.broker import LabError, Report
from lab.brokers import BROKERS
from lab.jars import Jars

SMALL = "org.jspecify:jspecify:1.0.0@jar"  # 3 KB
LOCKS = [
    broker.software.lock
    for broker in BROKERS.values()
    if isinstance(broker.software, Jars)
]


class Told(Report):
    """Remembers what it is told."""

    def __init__(self):
        self.steps = []

    def __call__(self, step: str) -> None:
        self.steps.append(step)


@pytest.fixture
def small(monkeypatch, tmp_path):
    """A function that locks the small archive, as in Kafka's lock file or changed."""
    known = next(jar for jar in jars.read_lock("kafka") if jar.coordinate == SMALL)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(jars, "LOCKS", tmp_path)

    def lock(**change):
        jar = known._replace(**change)
        (tmp_path / "small.lock").write_text(" ".join(map(str, jar)) + "\n")
        return jar

    return lock


def test_an_archive_is_downloaded_once(small):
    jar, first, second = small(), Told(), Told()
    values = Jars("small").provide(first)
    assert values["classpath"] == str(jar.path)
    assert jar.is_there()
    assert first.steps == ["Downloading 1 Java archives, 0 MB"]
    assert Jars("small").provide(second) == values
    assert second.steps == []


def test_the_java_runs(small):
    small()
    java = Jars("small").provide(Report())["java"]
    assert subprocess.run([java, "-version"], capture_output=True).returncode == 0


@pytest.mark.parametrize("content", [b"", b"something else"])
def test_a_damaged_archive_is_downloaded_again(content, small):
    jar = small()
    jar.path.parent.mkdir(parents=True)
    jar.path.write_bytes(content)
    Jars("small").provide(Report())
    assert jar.is_there()


def test_what_an_interrupted_download_left_is_removed(small):
    small()
    left = jars.cache() / "part-of-it" / "org"
    left.mkdir(parents=True)
    Jars("small").provide(Report())
    assert not left.parent.exists()


def test_another_content_than_the_locked_one_is_not_used(small):
    jar = small(sha256="0" * 64)
    with pytest.raises(LabError, match=r"jspecify:1\.0\.0@jar is not the file that"):
        Jars("small").provide(Report())
    assert not jar.path.exists()


# jgo does not close its connection after an answer that is no file.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("reason", ["no such version", "no connection"])
def test_what_cannot_be_downloaded_is_one_line(reason, small, monkeypatch):
    if reason == "no such version":
        small(coordinate="org.jspecify:jspecify:0.0.0-none@jar")
    else:
        small()
        for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(name, "http://127.0.0.1:1")
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
    with pytest.raises(LabError, match="cannot be downloaded") as failure:
        Jars("small").provide(Report())
    assert "\n" not in str(failure.value)
    del failure
    gc.collect()  # here, and not in the next test


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_file_is_in_order(name):
    """Each archive once, sorted, so that a change of it can be read."""
    locked = jars.read_lock(name)
    assert all(one.coordinate < next_.coordinate for one, next_ in pairwise(locked))
    for jar in locked:
        assert len(bytes.fromhex(jar.sha256)) == 32
        assert jar.size > 0


def test_lock_lines_are_made_of_what_maven_lists():
    known = next(jar for jar in jars.read_lock("kafka") if jar.coordinate == SMALL)
    made = subprocess.run(
        [sys.executable, "-m", "lab.jars"],
        input="The following files have been resolved:\n"
        "   org.jspecify:jspecify:jar:1.0.0:runtime\n",
        capture_output=True,
        text=True,
        check=True,
    )
    assert made.stdout.split() == list(map(str, known))
