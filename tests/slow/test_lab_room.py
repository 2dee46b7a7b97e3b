"""The lab where there is no room: a full disk, no port that is free."""

import errno
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping

import pytest

from lab.broker import LabError
from lab.brokers import BROKERS
from lab.jars import read_lock
from lab.software import one_at_a_time
from tests.support import Ended, finish, run, started

NO_ROOM = os.strerror(errno.ENOSPC)
# A user of one's own may mount, too, where the system lets users make namespaces.
NAMESPACE = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
MOUNT = "mount -t tmpfs -o size={size} tmpfs {folder}"


def may_mount() -> bool:
    mount = MOUNT.format(size="1M", folder="/tmp")
    return bool(shutil.which("unshare")) and not (
        subprocess.run([*NAMESPACE, *mount.split()], capture_output=True).returncode
    )


needs_a_small_disk = pytest.mark.skipif(
    not may_mount(), reason="this system lets this user mount nothing"
)


def on_a_small_disk(
    disk, size: str, *command: str, environment: Mapping[str, str], full: bool = False
) -> Ended:
    """Run a command that alone sees such a disk in the folder; it goes with it."""
    mount = MOUNT.format(size=size, folder=shlex.quote(str(disk)))
    fill = f"! cat /dev/zero 2>/dev/null >{shlex.quote(str(disk / 'rest'))}"
    steps = [mount, *([fill] if full else []), f"exec {shlex.join(command)}"]
    process = subprocess.Popen(
        [*NAMESPACE, "sh", "-c", " && ".join(steps)],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    started.append(process)
    return finish(process)


@needs_a_small_disk
@pytest.mark.parametrize("name", BROKERS)
@pytest.mark.parametrize(
    ("full", "says"),
    [
        (True, f"Cannot write to {{}}: {NO_ROOM}. Make room or mend its permissions,"),
        (False, r"Only \d MB are left for {}, and \w+ may need \d+\. Make room,"),
    ],
    ids=["full", "nearly full"],
)
def test_no_room_for_data_is_one_line(name, full, says, prepare):
    broker = prepare(name)
    home = broker.instance.home
    disk = home.parent
    up = (sys.executable, "-m", "lab", "up", "--local", name)
    ended = on_a_small_disk(disk, "1M", *up, environment=broker.environment, full=full)
    assert ended.status == 1, ended
    (line,) = ended.error
    assert re.match(says.format(re.escape(str(home))), line), line
    assert line.endswith(" or name another folder in LAB_HOME.")
    assert broker.instance.processes() == []


DOWNLOAD = """
import sys
from pathlib import Path
from lab import jars
from lab.broker import LabError, Report

jars.LOCKS = Path(sys.argv[1])
try:
    jars.Jars("two").provide(Report())
except LabError as error:
    sys.exit(str(error))
"""


@needs_a_small_disk
@pytest.mark.parametrize("full", [True, False], ids=["full", "full after a download"])
def test_no_room_for_a_download_is_one_line(full, tmp_path):
    jars = read_lock("kafka")
    small = min(jars, key=lambda jar: jar.size)
    larger = next(jar for jar in jars if 200_000 < jar.size < 400_000)
    lock = "".join(f"{' '.join(map(str, jar))}\n" for jar in (small, larger))
    (tmp_path / "two.lock").write_text(lock)
    cache = tmp_path / "cache"
    cache.mkdir()
    ended = on_a_small_disk(
        cache,
        "128k",
        *(sys.executable, "-c", DOWNLOAD, str(tmp_path)),
        environment={"XDG_CACHE_HOME": str(cache)},
        full=full,
    )
    assert ended.status == 1, ended
    (line,) = ended.error
    assert line == (
        f"cannot write to {cache}/message-broker-lab/jars: {NO_ROOM}. Make room or "
        "mend its permissions, or name another folder in XDG_CACHE_HOME."
    )


def test_no_room_for_temporary_files_is_one_line(monkeypatch, tmp_path):
    """Where the folder cannot be used, for this reason or another one."""
    in_the_way = tmp_path / "file"
    in_the_way.touch()
    monkeypatch.setenv("TMPDIR", str(in_the_way))
    monkeypatch.setattr(tempfile, "tempdir", str(in_the_way))
    with pytest.raises(LabError) as failure, one_at_a_time():
        pass
    assert str(failure.value) == (
        f"cannot write to {in_the_way}: {os.strerror(errno.ENOTDIR)}. Make room or "
        "mend its permissions, or name another folder in TMPDIR."
    )


# A range of two ports: somebody listens on one, a lab has claimed the other.
NO_PORT = """
import socket
from lab import local
from lab.cli import main

claimed = local.free_port()
with socket.create_server(("127.0.0.1", 0)) as server:
    local.PORTS = (claimed, server.getsockname()[1])
    print(*local.PORTS, flush=True)
    main()
"""


def test_no_free_port_is_one_line(prepare):
    broker = prepare("kafka")
    up = ("up", "--local", "kafka")
    ended = run("-c", NO_PORT, *up, environment=broker.environment)
    assert ended.status == 1, ended
    first, last = ended.out[0].split()
    (line,) = ended.error
    assert line == (
        f"No free port between {first} and {last}. Stop what listens there; the "
        "brokers of the lab with: python -m lab down"
    )
    assert broker.instance.processes() == []
