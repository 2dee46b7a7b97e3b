"""A broker as a container of ``docker-compose.yml``."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping

from lab.broker import ROOT, Broker, LabError

ANSWER_SECONDS = 10


def engine_answers() -> bool:
    """Whether ``docker compose`` can be used here."""
    return bool(shutil.which("docker")) and all(
        quietly(*command) is not None
        for command in (["docker", "compose", "version"], ["docker", "info"])
    )


def running(broker: Broker, settings: Mapping[str, str]) -> bool:
    """Whether all of the broker's containers run, on the ports of these settings."""
    names, ports = set(), set()
    # One JSON object a line; before Compose 2.21 one list of them.
    for line in (compose_output("ps", "--format", "json") or "").splitlines():
        found = json.loads(line)
        for container in found if isinstance(found, list) else [found]:
            if container["State"] == "running":
                names.add(container["Service"])
                ports |= {p["PublishedPort"] for p in container["Publishers"] or ()}
    return names >= set(broker.services) and ports >= {
        int(settings[port.setting]) for port in broker.ports
    }


def up(broker: Broker, settings: Mapping[str, str]) -> None:
    """Create and start the containers and wait for their health checks."""
    compose(settings, "up", "--detach", "--wait", *broker.services)


def down(broker: Broker, settings: Mapping[str, str]) -> None:
    """Stop and remove the containers. Their volumes, so their messages, stay."""
    compose(settings, "rm", "--stop", "--force", *broker.services)


def logs(broker: Broker, settings: Mapping[str, str], *, follow: bool) -> None:
    compose(settings, "logs", *(["--follow"] if follow else []), *broker.services)


def compose(settings: Mapping[str, str], *arguments: str) -> None:
    """Run ``docker compose`` in the repository; its output is the user's."""
    command = ["docker", "compose", *arguments]
    status = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **settings}
    ).returncode
    if status:
        raise LabError(f"{' '.join(command)} failed with status {status}.")


def compose_output(*arguments: str) -> str | None:
    return quietly("docker", "compose", *arguments) if shutil.which("docker") else None


def quietly(*command: str) -> str | None:
    """The command's output, or None where it fails or does not answer in time."""
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=ANSWER_SECONDS,
            check=True,
        )
    except (subprocess.SubprocessError, OSError):
        return None
    return done.stdout
