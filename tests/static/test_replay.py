"""The replay itself, with small scripts that do what a walkthrough does not show."""

import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from lab import replay
from lab.broker import LabError
from lab.replay import Difference, Replay
from lab.walkthrough import parse
from tests.support import PATIENCE

READY = "Ready. Press Ctrl-C to stop."

# Scripts that behave, and scripts that do not.
SCRIPTS = {
    "say": """
import sys
for line in sys.argv[1:]:
    print(line)
""",
    "wait": f"""
import sys, time
try:
    print({READY!r})
    for line in sys.argv[1:]:
        print(line)
    time.sleep(60)
except KeyboardInterrupt:
    pass
""",
    "fail": """
import sys
print(sys.argv[1])
sys.exit(int(sys.argv[2]))
""",
    "leave": f"print({READY!r})",
    "stay": """
import time
print("Done")
time.sleep(60)
""",
    "late": f"""
import time
print({READY!r})
time.sleep(0.5)
print("too late")
time.sleep(60)
""",
    "stubborn": f"""
import signal, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
print({READY!r})
time.sleep(60)
""",
    "connect": f"""
import socket, sys, time
with socket.create_connection(("127.0.0.1", int(sys.argv[1]))):
    print({READY!r})
    time.sleep(60)
""",
    "write": """
import pathlib, sys
pathlib.Path(sys.argv[1]).write_text("")
print("written")
""",
    "wail": f"""
import time
try:
    print({READY!r})
    time.sleep(60)
except KeyboardInterrupt:
    print("Traceback")
""",
}


@pytest.fixture
def little_patience(monkeypatch):
    """For replays that fail: those that pass need not wait."""
    monkeypatch.setattr(replay, "SILENCE_SECONDS", 2)
    monkeypatch.setattr(replay, "END_SECONDS", 2)


@pytest.fixture
def play(tmp_path):
    """A function that replays these blocks as a README with one section."""
    for name, text in SCRIPTS.items():
        (tmp_path / f"{name}.py").write_text(text)

    def run(*blocks: str) -> None:
        fences = [
            f"```console tab={head}\n{lines}\n```"
            for head, _, lines in (block.partition("\n") for block in blocks)
        ]
        (walkthrough,) = parse("\n\n".join(["## A heading", *fences]), "folder")
        walkthrough.folder = tmp_path
        Replay(walkthrough).run()

    return run


GOOD = {
    "lines": ["a\n$ python say.py one two\none\ntwo"],
    "waits": [f"a\n$ python wait.py\n{READY}"],
    "two tabs": [
        f"a\n$ python wait.py hello\n{READY}\nhello",
        "b\n$ python say.py x\nx",
    ],
    "one after the other": ["a\n$ python say.py 1\n1\n$ python say.py 2\n2"],
    "status": ["a\n$ python fail.py no 3\nno\n$ echo $?\n3"],
    "Ctrl-C": [f"a\n$ python wait.py\n{READY}\n^C\n$ python say.py bye\nbye"],
    "kill": [f"a\n$ python stubborn.py\n{READY}\n^KILL\n$ python say.py bye\nbye"],
    "swap": ["a swap=a,b\n$ python say.py 2\n1", "b\n$ python say.py 1\n2"],
    "swap of unequal tabs": [
        "a swap=a,b\n$ python say.py 2 3\n1",
        "b\n$ python say.py 1\n2\n3",
    ],
    "share": [
        "a share=a,b\n$ python say.py go 1 2\ngo\n3",
        "b\n$ python say.py go 3\ngo\n2\n1",
    ],
    "any order": ["a order=any\n$ python say.py go 2 1\ngo\n1\n2"],
    "rate": ["a\n$ python say.py '1,234/s sent'\n~900/s sent"],
}

BAD = {
    "a line too many": ["a\n$ python say.py one two\none"],
    "a line missing": ["a\n$ python say.py one\none\ntwo"],
    "another line": ["a\n$ python say.py one\nuno"],
    "another order": ["a\n$ python say.py one two\ntwo\none"],
    "status": ["a\n$ python fail.py no 3\nno"],
    "another status": ["a\n$ python fail.py no 3\nno\n$ echo $?\n1"],
    "ends by itself": [f"a\n$ python leave.py\n{READY}"],
    "does not end": ["a\n$ python stay.py\nDone"],
    "a late line": [f"a\n$ python late.py\n{READY}"],
    "survives Ctrl-C": [f"a\n$ python stubborn.py\n{READY}"],
    "a line after Ctrl-C": [f"a\n$ python wail.py\n{READY}"],
    "no such script": ["a\n$ python nothing.py\nhello"],
    "swap of other lines": [
        "a swap=a,b\n$ python say.py 2\n1",
        "b\n$ python say.py 3\n2",
    ],
    "swap of half a tab": [
        "a swap=a,b\n$ python say.py 1 4\n1\n2",
        "b\n$ python say.py 3 2\n3\n4",
    ],
    "share without a share": [
        "a share=a,b\n$ python say.py go 1 2\ngo\n1",
        "b\n$ python say.py go\ngo\n2",
    ],
    "share done twice": [
        "a share=a,b\n$ python say.py go 1 2\ngo\n1",
        "b\n$ python say.py go 1\ngo\n2",
    ],
    "share with another first line": [
        "a share=a,b\n$ python say.py 1 go\ngo\n1",
        "b\n$ python say.py go 2\ngo\n2",
    ],
    "any order, one missing": ["a order=any\n$ python say.py go 2\ngo\n1\n2"],
    "any order, one twice": ["a order=any\n$ python say.py go 2 2\ngo\n1\n2"],
    "no rate": ["a\n$ python say.py '0/s sent'\n~900/s sent"],
    "a rate nobody expects": ["a\n$ python say.py '12/s sent'\n900/s sent"],
}


@pytest.mark.parametrize("blocks", GOOD.values(), ids=GOOD)
def test_good(blocks, play):
    play(*blocks)


@pytest.mark.parametrize("blocks", BAD.values(), ids=BAD)
def test_bad(blocks, play, little_patience):
    began = time.monotonic()
    with pytest.raises(Difference) as difference:
        play(*blocks)
    assert str(difference.value)
    assert time.monotonic() - began < PATIENCE


def test_after_a_kill_the_next_script_waits_for_the_broker(play, tmp_path):
    """Until that has closed its end of the killed one's connection."""
    written = tmp_path / "written"
    early: list[bool] = []

    def notice_late(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            assert connection.recv(1) == b""
            time.sleep(1)  # enough for a script that does not wait
            early.append(written.exists())

    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        ThreadPoolExecutor() as threads,
    ):
        noticed = threads.submit(notice_late, server)
        port = server.getsockname()[1]
        play(
            f"a\n$ python connect.py {port}\n{READY}\n^KILL\n"
            "$ python write.py written\nwritten"
        )
        noticed.result()
    assert early == [False]
    assert written.exists()


def test_a_death_that_is_noticed_between_two_looks(play, monkeypatch):
    """No script runs then, and one is still to be started."""
    asked: list[bool] = []

    def is_unnoticed_once(replay: Replay) -> bool:
        if replay.tabs["a"].stopped_by and not replay.running():
            asked.append(not asked)
            return asked[-1]
        return False

    monkeypatch.setattr(Replay, "is_death_unnoticed", is_unnoticed_once)
    play(f"a\n$ python stubborn.py\n{READY}\n^KILL\n$ python say.py bye\nbye")
    assert asked[:2] == [True, False]


@pytest.mark.parametrize(
    "block",
    [
        "a\nhello",
        "a\n$ rm -rf /",
        "a colour=red\n$ python say.py",
        "a swap=a,b\n$ python say.py",
        "a swap=a\n$ python say.py",
        "a\n$ python say.py\n$ echo $?",
        "a\n$ python say.py\n$ echo $?\nno",
        "a order=any share=a,a\n$ python say.py",
        "a loose\n$ python say.py",
    ],
)
def test_a_block_that_cannot_be_read(block, play):
    with pytest.raises(LabError):
        play(block)
