"""Pulsar's topic consumer: a regular expression, one word or several."""

import pytest

from tests.support import Tab, run, script

CONSUMER = script("pulsar_topic_consumer.py").path


@pytest.mark.parametrize(
    ("pattern", "keys"),
    [
        (r"music\.rock\.[^.]+", ["music.rock.classic", "music.rock.indie"]),
        ("music.(pop.+|rock.classic)", ["music.pop.hits", "music.rock.classic"]),
    ],
)
def test_patterns(pattern, keys, live):
    broker = live("pulsar")
    with Tab(CONSUMER, pattern, environment=broker.environment) as tab:
        assert tab.line()
        run(script("pulsar_topic_producer.py").path, environment=broker.environment)
        lines = sorted(tab.line() for _ in keys)
        assert [line.split(":")[0] for line in lines] == [
            f"Received {key}" for key in keys
        ]
        tab.press_ctrl_c()
        assert tab.end() == (0, None, [])


def test_a_pattern_that_no_topic_fits(live):
    ended = run(CONSUMER, "jazz.*", environment=live("pulsar").environment)
    assert ended.status == 1
    assert ended.error[0].startswith("No topic fits jazz.*. There are: music.rock.")
