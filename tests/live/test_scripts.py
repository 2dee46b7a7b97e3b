"""What every script does, whatever its pattern: its arguments, and who comes late."""

from fnmatch import fnmatchcase

import pytest

from tests.parameters import every, pattern_of
from tests.support import Tab, run, script


@pytest.mark.parametrize(
    ("name", "usage"),
    **every("refused", lambda usage: f"{usage.script}-{usage.arguments[0][:9]}"),
)
def test_wrong_arguments_are_one_line_of_usage(name, usage, shared):
    broker = shared(name)
    ended = run(
        script(usage.script).path, *usage.arguments, environment=broker.environment
    )
    assert ended.status == 2
    assert ended.out == []
    (line,) = ended.error
    assert line.startswith("Usage: ")
    assert usage.script in line


@pytest.mark.parametrize(
    ("name", "alone"), **every("alone", lambda alone: alone.script)
)
def test_producer_first(name, alone, shared):
    broker = shared(name, pattern_of(alone.script))
    sent = run(script(alone.script).path, environment=broker.environment)
    assert sent.status == 0
    assert sent.error == []
    assert sent.out
    assert all(line.startswith(alone.line) for line in sent.out)

    consumer = script(alone.script.replace("_producer", "_consumer"))
    heard = next(each for each in broker.row.heard if each.script == consumer.name)
    with Tab(consumer.path, environment=broker.environment) as tab:
        assert tab.line()
        heard.send(broker.settings, b"the last one")
        last_one = heard.line.format(body="the last one")
        lines = [tab.line()]
        if fnmatchcase(lines[0], last_one) and alone.keeps:
            lines.append(tab.line())  # a topic of several queues has no order
        assert all(fnmatchcase(line, last_one) for line in lines) is not alone.keeps
