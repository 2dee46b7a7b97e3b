"""A broker as a container of ``docker-compose.yml``."""

import json
import os
import subprocess
from collections.abc import Mapping

from lab.broker import ROOT, Broker, LabError

ANSWER_SECONDS = 10

# Docker Engine 25. Compose refuses a health check's start_interval on older ones.
OLDEST_API = (1, 44)


def engine_answers() -> bool:
    """Whether ``docker compose`` can be used here with docker-compose.yml."""
    if quietly("docker", "compose", "version") is None:
        return False
    api = quietly("docker", "version", "--format", "{{.Server.APIVersion}}")
    return api is not None and tuple(map(int, api.split("."))) >= OLDEST_API


def containers(broker: Broker) -> list[dict]:
    """The broker's containers, also those that have ended."""
    found = []
    # One JSON object a line; before Compose 2.21 one list of them.
    listed = quietly("docker", "compose", "ps", "--all", "--format", "json") or ""
    for line in listed.splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue  # a warning, not a container
        found += entry if isinstance(entry, list) else [entry]
    # Compose tells projects apart by the name of their folder only. Another checkout
    # of the same name is not ours.
    ours = f"com.docker.compose.project.working_dir={ROOT}"
    return [
        each
        for each in found
        if each["Service"] in broker.services
        and ours in (each.get("Labels") or ours).split(",")
    ]


def running(broker: Broker, settings: Mapping[str, str]) -> bool:
    """Whether all of the broker's containers run, on the ports of these settings."""
    names, ports = set(), set()
    for container in containers(broker):
        if container["State"] == "running":
            names.add(container["Service"])
            ports |= {p["PublishedPort"] for p in container["Publishers"] or ()}
    return names >= set(broker.services) and ports >= {
        int(settings[port.setting]) for port in broker.ports
    }


def up(broker: Broker, settings: Mapping[str, str]) -> None:
    """Create and start the containers and wait for their health checks."""
    if not engine_answers():
        raise LabError(
            "no Docker Engine with docker compose answers here, in version 25 or "
            "newer. Start Docker, or leave --docker out."
        )
    try:
        compose(settings, "up", "--detach", "--wait", *broker.services)
    except LabError as error:
        raise LabError(
            f"{error} What {broker.title} itself says: python -m lab logs {broker.name}"
        ) from None


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
        raise LabError(
            f"{' '.join(command)} failed with status {status}. The lines above say why."
        )


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
