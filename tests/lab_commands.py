"""python -m lab, as a reader types it."""

import re

from tests.live_broker import Live
from tests.support import lab

IN_THE_GATE = "activemq"  # with this broker alone the gate tries up and down


def up(broker, **more: str):
    return lab(
        "up", broker.instance.broker.name, "--local", environment=env(broker, **more)
    )


def env(broker, **more: str) -> dict[str, str]:
    return {**broker.environment, **more}


def only_line(ended) -> str:
    (line,) = ended.out + ended.error
    assert "Traceback" not in line
    return line


def check_up_and_down(broker: Live) -> None:
    """All that happens between the first ``lab up`` and the last ``lab down``."""
    name, title = broker.row.broker.name, broker.row.broker.title

    assert only_line(lab("down", name, environment=env(broker))) == (
        f"{title}: the lab has none running, nothing to stop."
    )
    assert lab("logs", name, environment=env(broker)).status == 1
    status = lab("status", name, environment=env(broker))
    assert status.status == 1
    assert f"python -m lab up {name}" in only_line(status)

    first = up(broker)
    assert first.status == 0, first
    # Not always the second line: the first start on a machine downloads.
    is_up = re.compile(rf"{title} [\d.]+ is up on localhost:\d+, local")
    assert any(map(is_up.match, first.out))
    pids = {process.pid for process in broker.instance.roots()}
    again = up(broker)
    assert again.status == 0
    assert "as before" in again.out[0]
    assert {process.pid for process in broker.instance.roots()} == pids

    assert " is up " in only_line(lab("status", name, environment=env(broker)))
    assert lab("logs", name, environment=env(broker)).out

    for _ in range(2):
        assert lab("down", name, environment=env(broker)).status == 0
        assert broker.instance.processes() == []
    assert lab("status", name, environment=env(broker)).status == 1
