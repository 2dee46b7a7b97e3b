"""Ctrl-C in the middle of the tests."""

import os
import sys

import pexpect
import psutil

from lab.broker import ROOT
from lab.local import MARK
from tests.support import each_of, wait_until


def brokers_below(folder) -> list[psutil.Process]:
    """The processes of brokers that live there."""
    environments = each_of(psutil.process_iter(), lambda p: (p, marked(p)))
    return [process for process, home in environments if home.startswith(f"{folder}/")]


def marked(process: psutil.Process) -> str:
    try:
        return process.environ().get(MARK, "")
    except (psutil.AccessDenied, OSError):
        return ""  # somebody else's


def test_ctrl_c_leaves_no_broker(tmp_path):
    """Whichever of several processes has started it."""
    run = pexpect.spawn(
        sys.executable,
        ["-m", "pytest", "-n", "2", "tests/live", "-k", "activemq and fanout"],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        timeout=120,
    )
    wait_until(lambda: bool(brokers_below(tmp_path)), 120)
    run.sendintr()
    run.expect(pexpect.EOF)
    run.close()
    assert run.exitstatus == 2
    assert brokers_below(tmp_path) == []
    assert not [path for path in tmp_path.iterdir() if "message brokers" in path.name]
