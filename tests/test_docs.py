"""The pages in docs/: what they tell to type and what they quote is really there."""

import ast
import html
import re

import pytest
from markdown_it import MarkdownIt

from lab.broker import ROOT
from lab.brokers import BROKERS
from lab.walkthrough import walkthroughs

DOCS = ROOT / "docs"
WALKTHROUGHS = walkthroughs(BROKERS)
NINE = {
    *("fifo", "work-queue", "fanout", "routing", "topic", "rpc", "headers"),
    *("dead-letter", "confirms"),
}
# Less of a message's own words would fit any other message.
OWN_CHARACTERS = 9


def tokens(name: str) -> list:
    return MarkdownIt().enable("table").parse((DOCS / name).read_text())


def targets(inline) -> list[str]:
    return [part.attrs["href"] for part in inline.children if part.type == "link_open"]


def questions() -> dict[str, list]:
    """The questions of the interview, each with the entries of its list."""
    found: dict[str, list] = {}
    question = before = None
    depth = 0
    for token in tokens("interview.md"):
        depth += {"list_item_open": 1, "list_item_close": -1}.get(token.type, 0)
        if token.type == "inline" and before.type == "heading_open":
            question = token.content if before.tag == "h3" else None
            if question:
                found[question] = []
        elif token.type == "inline" and depth and question:
            found[question].append(token)
        before = token
    return found


@pytest.mark.parametrize("entries", questions().values(), ids=questions())
def test_each_answer_has_something_to_run(entries):
    """A walkthrough, or a test, by its name, and a link to it."""
    assert entries
    for entry in entries:
        command, links = entry.children[0].content, targets(entry)
        if command.startswith("pytest"):
            word = command.removeprefix("pytest -k ")
            (file,) = links
            assert re.search(rf"^def test_\w*{word}", (DOCS / file).read_text(), re.M)
            continue
        name = command.removeprefix("python -m lab run ")
        broker, slug = name.split("/")
        assert name in WALKTHROUGHS
        assert links[0] == f"../{broker}/README.md#{slug}"
        typed = {c.text.split()[1] for t in WALKTHROUGHS[name].tabs for c in t.commands}
        assert {link.rpartition("/")[2] for link in links[1:]} <= typed
        assert len(links) > 1


@pytest.mark.parametrize("name", BROKERS)
def test_the_profiles_show_what_people_choose_a_broker_for(name):
    linked = (DOCS / "brokers.md").read_text()
    for pattern in BROKERS[name].creates.keys() - NINE:
        assert f"](../{name}/README.md#{pattern}" in linked, pattern


def template(node: ast.AST) -> str | None:
    """What a text of the code looks like, as a regular expression; None for no text."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return re.escape(node.value.replace("\n", " "))
    if isinstance(node, ast.JoinedStr):
        return "".join(template(part) or ".+" for part in node.values)
    return None


def texts_of_the_code() -> list[re.Pattern]:
    """The templates of all texts that scripts, the lab and the Makefile may print."""
    folders = [ROOT / "lab", *(broker.folder for broker in BROKERS.values())]
    found = {
        text
        for folder in folders
        for path in folder.rglob("*.py")
        if "venv" not in path.parts
        for node in ast.walk(ast.parse(path.read_text()))
        if (text := template(node))
    }
    makefile = (ROOT / "Makefile").read_text()
    found |= {re.escape(text) for text in re.findall(r'echo "(.+?)"', makefile)}
    return [
        re.compile(text)
        for text in found
        if len(re.sub(r"\.\+|\\", "", text)) >= OWN_CHARACTERS
    ]


def quoted_messages() -> list[str]:
    """What stands as code in the first column of the tables: messages, word by word."""
    found = []
    before = None
    for token in tokens("troubleshooting.md"):
        if token.type == "tr_open":
            is_first = True
        elif token.type == "inline" and before.type == "td_open":
            if is_first:
                found += [p.content for p in token.children if p.type == "code_inline"]
            is_first = False
        before = token
    return found


TEXTS = texts_of_the_code()


def is_printed(message: str) -> bool:
    """Whether it is a text of the code; the lab begins its own with a capital."""
    as_written = message[:1].lower() + message[1:]
    return any(t.fullmatch(each) for t in TEXTS for each in (message, as_written))


@pytest.mark.parametrize("message", quoted_messages())
def test_a_message_is_quoted_as_it_is_printed(message):
    assert is_printed(message)


def test_a_message_that_nobody_prints_is_noticed():
    assert len(quoted_messages()) > 40
    for message in quoted_messages():
        other = message.replace("a", "aa").replace("e", "ee")
        assert not is_printed(other), message


def test_the_picture_is_of_the_walkthrough_below_it():
    """`python -m lab run rabbitmq/work-queue --picture docs/work-queue.svg` made it."""
    svg = (DOCS / "work-queue.svg").read_text()
    shown = re.findall(r"<text [^>]*>([^<]*)</text>", svg)
    shown = [html.unescape(text).replace("\xa0", " ").strip() for text in shown]
    for tab in WALKTHROUGHS["rabbitmq/work-queue"].tabs:
        assert any(tab.name in text for text in shown)
        for line in (f"$ {tab.commands[0].text}", *tab.lines()):
            # A long line goes on in the next one.
            assert any(text and line.startswith(text) for text in shown), line
