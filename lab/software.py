"""Where the programs of local brokers come from."""

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from lab.broker import LabError, Report, writing

# Debian's way to let an administrator forbid that a package starts its service:
# https://people.debian.org/~hmh/invokerc.d-policyrc.d-specification.txt
POLICY = Path("/usr/sbin/policy-rc.d")
POLICY_FORBIDS = "#!/bin/sh\n# Written by message-broker-lab: delete it.\nexit 101\n"


@dataclass(frozen=True)
class SystemProgram:
    """A program that the system's package manager installs.

    An environment variable can name another one: LAB_RABBITMQ_SERVER takes the place
    of rabbitmq-server.
    """

    name: str
    paths: tuple[str, ...]  # looked at in this order, before PATH
    debian_package: str
    install_commands: Mapping[str, str]  # package manager -> what to type
    otherwise: str = ""  # what to do where it cannot be installed
    requirements: ClassVar = ()

    @property
    def setting(self) -> str:
        """The environment variable that names another program."""
        return "LAB_" + self.name.upper().replace("-", "_")

    def find(self) -> str | None:
        """The program's path, or None where it is not installed.

        Raises LabError when the environment names one that cannot be run.
        """
        if named := os.environ.get(self.setting):
            if found := shutil.which(named):
                return os.path.abspath(found)
            raise LabError(f"{self.setting}={named} is no program that can be run.")
        for path in self.paths:
            if os.access(path, os.X_OK):
                return path
        return shutil.which(self.name)

    def provide(self, report: Report) -> dict[str, str]:
        """As ``Software.provide``; the template value is ``$program``."""
        if can_install():
            # Also where the program is there: another lab may be unpacking it.
            with one_at_a_time():
                package = self.debian_package
                if not self.find() or is_half_installed(package):
                    report(f"Installing the package {package} with apt-get, as root")
                    apt_install(package)
        program = self.find()
        if program is None:
            advice = f"Install it: {self.command()}. {self.otherwise}".rstrip()
            raise LabError(f"{self.name} is not installed. {advice}")
        return {"program": program}

    def cure(self) -> str | None:
        """As ``Software.cure``."""
        return None if self.find() or can_install() else self.command()

    def command(self) -> str:
        """What installs the program, by a package manager that is there."""
        for manager, command in self.install_commands.items():
            if shutil.which(manager):
                return command
        return "with your system's package manager, or start Docker"


def can_install() -> bool:
    """Whether the lab itself may install packages."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def is_half_installed(package: str) -> bool:
    """Whether an installation of this Debian package was interrupted."""
    query = ["dpkg-query", "--show", "--showformat=${db:Status-Status}", package]
    status = subprocess.run(query, capture_output=True, text=True).stdout
    return status in ("half-installed", "unpacked", "half-configured")


def apt_install(package: str) -> None:
    """Install a Debian package without starting its service. Raises LabError."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    commands = (
        ["dpkg", "--configure", "-a"],  # ends what was interrupted
        ["apt-get", "update"],
        ["apt-get", "install", "--yes", "--no-install-recommends", package],
    )
    with services_held(), tempfile.TemporaryFile("w+") as log:
        for command in commands:
            if subprocess.run(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            ).returncode:
                log.seek(0)
                *_, last = (line for line in log.read().splitlines() if line.strip())
                raise LabError(f"{' '.join(command)} failed: {last}")


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Wait until no other lab of this user installs anything: tests run at once.

    Raises LabError.
    """
    # One file a user: another user's could not be opened.
    name = f"message-broker-lab-{os.getuid()}.lock"
    with writing(Path(os.environ.get("TMPDIR") or "/tmp"), "TMPDIR"):
        lock = (Path(tempfile.gettempdir()) / name).open("w")
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def services_held() -> Iterator[None]:
    """While this lasts, packages do not start their services.

    The lab starts a broker of its own; the system's would take the same port.
    Raises LabError.
    """
    # One with exactly our text was left behind by an installation that was killed.
    if POLICY.exists() and POLICY.read_text() != POLICY_FORBIDS:
        yield
        return
    try:
        with writing(POLICY.parent):
            POLICY.write_text(POLICY_FORBIDS)
            POLICY.chmod(0o755)
        yield
    finally:
        POLICY.unlink(missing_ok=True)
