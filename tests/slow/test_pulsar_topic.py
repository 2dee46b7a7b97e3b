"""Pulsar's topic consumer: a regular expression, one word or several."""

import pytest

from tests.support import run, script, topics_received

CONSUMER = script("pulsar_topic_consumer.py").path


@pytest.mark.parametrize(
    ("pattern", "keys"),
    [
        (r"music\.rock\.[^.]+", ["music.rock.classic", "music.rock.indie"]),
        ("music.(pop.+|rock.classic)", ["music.pop.hits", "music.rock.classic"]),
    ],
)
def test_patterns(pattern, keys, live):
    environment = live("pulsar").environment
    assert topics_received("pulsar", pattern, len(keys), environment) == keys


def test_a_pattern_that_no_topic_fits(live):
    ended = run(CONSUMER, "jazz.*", environment=live("pulsar").environment)
    assert ended.status == 1
    assert ended.error[0].startswith("No topic fits jazz.*. There are: music.rock.")
