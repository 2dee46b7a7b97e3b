"""Java archives: the ones of the lock file, with exactly that content, or none."""

import errno
import gc
import io
import os
import resource
import signal
import subprocess
import sys
import tarfile
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from lab import jars
from lab.broker import LabError, Report
from lab.brokers import BROKERS
from lab.jars import Jar, Jars

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
        self.arrived = 0

    def __call__(self, step: str) -> None:
        self.steps.append(step)

    @contextmanager
    def bytes(self, total: int):
        def count(arrived: int) -> None:
            self.arrived += arrived

        yield count


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


# Big ones, and not to be compressed: each is read and written in several parts.
FILES = {f"server-1.0/bin/{name}": os.urandom(200_000) for name in ("start", "stop")}


@pytest.fixture
def packed(monkeypatch, tmp_path):
    """A distribution in the cache, as it was downloaded: two files in a folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(jars, "LOCKS", tmp_path)

    # One that cannot be had anywhere, so that nothing but the cache has it.
    def lock(**change):
        jar = Jar("org.example:server:1.0:bin@tar.gz", "0" * 64, 1)._replace(**change)
        (tmp_path / "packed.lock").write_text(" ".join(map(str, jar)) + "\n")
        return jar

    path = lock().path
    path.parent.mkdir(parents=True)
    with tarfile.open(path, "w:gz") as archive:
        for name in FILES:
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(FILES[name]), 0o755
            archive.addfile(member, io.BytesIO(FILES[name]))
    return lock(sha256=jars.sha256(path), size=path.stat().st_size)


def unpacked(jar: Jar) -> dict[str, bytes]:
    """What is in its folder."""
    found = {path: path.is_file() for path in jar.folder.rglob("*")}
    return {
        str(path.relative_to(jar.folder)): path.read_bytes()
        for path in found
        if found[path]
    }


def left_behind() -> list[Path]:
    return list(jars.cache().glob("part-*"))


def test_a_distribution_is_unpacked_once(packed):
    first, second = Told(), Told()
    values = Jars("packed").provide(first)
    assert first.steps == ["Unpacking server-1.0-bin.tar.gz, 0 MB"]
    assert first.arrived == packed.size
    assert values["classpath"] == ""
    assert f"{values['jars']}/org.example/server-1.0-bin" == str(packed.folder)
    assert unpacked(packed) == FILES
    assert os.access(packed.folder / "server-1.0/bin/start", os.X_OK)
    # Everybody may read it, as with the archives.
    assert packed.folder.stat().st_mode & 0o777 == 0o777 & ~umask()
    assert not packed.path.exists()
    assert not left_behind()
    assert Jars("packed").provide(second) == values
    assert second.steps == []


def umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


INTERRUPTED = """
import os, signal, sys
from contextlib import contextmanager
from pathlib import Path
from lab import jars
from lab.broker import Report

class Killed(Report):
    @contextmanager
    def bytes(self, total):
        yield lambda count: os.kill(os.getpid(), int(sys.argv[2]))

jars.LOCKS = Path(sys.argv[1])
jars.Jars("packed").provide(Killed())
"""


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_unpacking_is_redone(end, packed, tmp_path):
    """All of it or nothing: half of a distribution is not taken for a whole one."""
    command = [sys.executable, "-c", INTERRUPTED, str(tmp_path), str(int(end))]
    assert subprocess.run(command, capture_output=True).returncode == -end
    assert len(left_behind()) == (end == signal.SIGKILL)
    assert not packed.folder.exists()
    Jars("packed").provide(Report())
    assert unpacked(packed) == FILES
    assert not left_behind()


def test_a_damaged_distribution_is_not_unpacked(packed):
    """It would be downloaded again, and there is none like this one."""
    whole = packed.path.read_bytes()
    packed.path.write_bytes(whole[:-1000])
    told = Told()
    with pytest.raises(LabError, match="cannot be downloaded"):
        Jars("packed").provide(told)
    assert told.steps == ["Downloading 1 Java archives, 0 MB"]
    assert not packed.folder.exists()


def test_without_room_nothing_is_unpacked(packed):
    """A limit for the size of a file stands for a disk that is full."""
    old, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, most))
    try:
        with pytest.raises(LabError) as failure:
            Jars("packed").provide(Report())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (old, most))
    assert str(failure.value) == (
        f"server-1.0-bin.tar.gz cannot be unpacked below {jars.cache()}: "
        f"{os.strerror(errno.EFBIG)}. Make room or mend its permissions, and try again."
    )
    assert not packed.folder.exists()
    assert not left_behind()
    Jars("packed").provide(Report())
    assert unpacked(packed) == FILES


def test_a_cache_that_cannot_be_written_to_is_one_line(small, tmp_path):
    small()
    (tmp_path / "cache").write_text("in the way")
    with pytest.raises(LabError, match=r"cannot write to .*XDG_CACHE_HOME") as failure:
        Jars("small").provide(Report())
    assert "\n" not in str(failure.value)


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
