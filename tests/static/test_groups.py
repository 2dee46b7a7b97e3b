"""Tests that share what they have on a broker run in one process."""

import os
import subprocess
import sys
from collections import defaultdict

A_FILE = """
import os
import pytest

@pytest.mark.parametrize("number", [
    pytest.param(number, marks=pytest.mark.xdist_group(f"kafka {number % 3}"))
    for number in range(30)
])
def test_it(number):
    print("ran", number % 3, os.environ["PYTEST_XDIST_WORKER"])
"""


def test_a_group_stays_in_one_process(tmp_path):
    """With some versions of pytest, pytest-xdist goes by no mark, and says nothing."""
    (tmp_path / "test_it.py").write_text(A_FILE)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-n", "3", "--dist", "loadgroup", "-rP"),
            *("--rootdir", str(tmp_path), "-c", os.devnull, "-p", "no:cacheprovider"),
            str(tmp_path),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    workers = defaultdict(set)
    ran = [line.split() for line in done.stdout.splitlines() if line.startswith("ran ")]
    assert len(ran) == 30
    for _, group, worker in ran:
        workers[group].add(worker)
    assert all(len(of_group) == 1 for of_group in workers.values())
