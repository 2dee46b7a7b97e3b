"""Brokers for the tests: their own, on free ports, with their own data.

All of a run, whatever process has started them, live below one folder, and end with
the run: also with one that Ctrl-C has ended. What a folder's tests share, and how
they clean it, stands in ``live/conftest.py`` and ``slow/conftest.py``.

``pytest --live`` runs the walkthroughs on the brokers that the settings name instead,
and starts, stops and kills none.

TEST_RABBITMQ_VERSION=4.3.6 in the environment makes every test fail on another RabbitMQ
that these tests start.
"""

import gc
import os
import re
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from lab.broker import LabError
from lab.brokers import BROKERS
from lab.local import MARK
from tests import evidence
from tests.evidence import Recorder, Seen
from tests.live_broker import LOGS, Live, of_its_own, told, wanted_version
from tests.order import put_in_order
from tests.progress import Progress
from tests.support import end_started

FOLDER = pytest.StashKey[Path]()  # of this run: all data of its brokers is below it


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--live",
        action="store_true",
        help="run the walkthroughs on brokers that are already up",
    )
    parser.addoption(
        "--record",
        action="store_true",
        help="write what the tests see into docs/evidence.json",
    )
    parser.addoption(
        "--idle",
        type=int,
        default=60,
        metavar="SECONDS",
        help="how long the scripts of the tests of slow hands hear nothing",
    )


def pytest_report_header() -> list[str]:
    return [
        f"{broker.title}: {version}, checked at each start"
        for broker in BROKERS.values()
        if (version := wanted_version(broker.name))
    ]


def pytest_configure(config: pytest.Config) -> None:
    if is_worker(config):
        config.stash[FOLDER] = Path(config.workerinput["folder"])
    else:
        # A blank in its name, because users have folders with blanks.
        folder = Path(tempfile.mkdtemp(prefix="message brokers ")).resolve()
        config.stash[FOLDER] = folder
        config.pluginmanager.register(Progress(config))
        config.pluginmanager.register(Recorder(writes=config.getoption("--record")))
    # A shell's background job ignores Ctrl-C, and so would the scripts that it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # A terminal is opened with a fork. A Pulsar consumer that is collected in the child
    # waits without end for its threads: they are in the parent.
    os.register_at_fork(before=gc.disable, after_in_parent=gc.enable)


def is_worker(config: pytest.Config) -> bool:
    """Whether this is one of several processes of a run, and not the one above them."""
    return hasattr(config, "workerinput")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node) -> None:
    """A worker of pytest-xdist is about to start."""
    node.workerinput["folder"] = str(node.config.stash[FOLDER])


def pytest_unconfigure(config: pytest.Config) -> None:
    """The workers have ended before this, also after Ctrl-C."""
    if FOLDER in config.stash and not is_worker(config):
        end_brokers(config.stash[FOLDER])
        shutil.rmtree(config.stash[FOLDER], ignore_errors=True)


def end_brokers(folder: Path) -> None:
    """Kill every process of a broker with its data below this folder."""

    def is_below(process: psutil.Process) -> bool:
        with suppress(psutil.Error, OSError):
            return process.environ().get(MARK, "").startswith(f"{folder}/")
        return False

    while left := [each for each in psutil.process_iter() if is_below(each)]:
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left, timeout=1)


@pytest.hookimpl(tryfirst=True)  # before xdist adds a test's group to its name
def pytest_collection_modifyitems(config: pytest.Config, items: list) -> None:
    if config.getoption("--live"):
        others = [item for item in items if not item.get_closest_marker("live")]
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item not in others]
    for item in items:
        if "record" in item.fixturenames:
            item.add_marker("evidence")
        if "shared" in item.fixturenames:  # whoever comes first downloads and starts
            item.add_marker(pytest.mark.timeout(600))
    put_in_order(items, in_groups=getattr(config.option, "loadgroup", False))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item):
    """A failure shows what its brokers have logged in the meantime."""
    report = yield
    if report.when == "call" and report.failed:
        for log, begin in item.stash.get(LOGS, {}).items():
            with suppress(OSError), log.open("rb") as file:
                file.seek(begin)
                said = file.read().decode(errors="replace").splitlines()
                report.sections.append(("The broker's log", "\n".join(said[-40:])))
    return report


@pytest.fixture(autouse=True)
def no_script_outlives_its_test() -> Iterator[None]:
    yield
    end_started()


@pytest.fixture
def record(request, record_property) -> Callable[..., None]:
    """A function that notes what the test has seen, for ``pytest --record``."""

    def note(table: str, row: str, broker: str, says: str, measured: str = "") -> None:
        assert row in evidence.ROWS[table]
        test, *_ = re.split(r"[\[@]", request.node.nodeid)  # its parameters, its group
        seen = Seen(table, row, broker, test, says, measured)
        record_property(evidence.PROPERTY, tuple(seen))

    return note


@pytest.fixture(scope="session")
def run_folder(request) -> Path:
    """Below it is all data of this run's brokers, whichever process starts them."""
    return request.config.stash[FOLDER]


@pytest.fixture(scope="session")
def prepare(run_folder) -> Iterator[Callable[[str], Live]]:
    """A function that makes room for a broker; at the end it stops what runs there."""
    brokers: list[Live] = []

    def make(name: str) -> Live:
        home = Path(tempfile.mkdtemp(prefix=f"{name} ", dir=run_folder))
        brokers.append(of_its_own(BROKERS[name], home))
        return brokers[-1]

    yield make
    for broker in brokers:
        broker.instance.kill()  # its data is thrown away: no need for a clean end


@pytest.fixture(scope="session")
def start_broker(prepare) -> Callable[[str], Live]:
    """A function that starts a broker of a kind."""

    def start(name: str) -> Live:
        broker = prepare(name)
        try:
            broker.start()
        except LabError as error:
            pytest.fail(told(error, broker), pytrace=False)
        return broker

    return start
