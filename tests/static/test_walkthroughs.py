"""Every walkthrough of every README, as it is written."""

import copy

from lab.replay import agrees, complete
from tests.parameters import every_walkthrough


@every_walkthrough
def test_every_line_counts(walkthrough):
    """Compared with the README's own lines, each single line missing is noticed."""
    for group in walkthrough.groups:
        expected = [tab.lines() for tab in walkthrough.tabs if tab.name in group.tabs]
        tabs = [[line.replace("~", "") for line in lines] for lines in expected]
        assert agrees(group, expected, tabs)
        assert complete(group, expected, tabs)
        for number, lines in enumerate(tabs):
            for line in range(len(lines)):
                shorter = copy.deepcopy(expected)
                del shorter[number][line]
                assert not agrees(group, shorter, tabs), (group, lines[line])
                shorter = copy.deepcopy(tabs)
                del shorter[number][line]
                assert not (
                    agrees(group, expected, shorter)
                    and complete(group, expected, shorter)
                )


@every_walkthrough
def test_has_its_parts(walkthrough):
    """A concept of two sentences or so, an Observation, something to try next."""
    assert walkthrough.text[0].count(". ") <= 2, "the concept is two sentences"
    assert walkthrough.observation
    assert any(text.startswith("**Try next**") for text in walkthrough.text)
    for group in walkthrough.groups:
        for tab in group.tabs if group.way in ("share", "swap", "any") else ():
            assert tab in {each.name for each in walkthrough.tabs}
