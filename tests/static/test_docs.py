"""The front page and docs/: what they tell to type and what they quote is there."""

import ast
import html
import io
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from dotenv import dotenv_values
from markdown_it import MarkdownIt
from ruamel.yaml import YAML

from lab.broker import ROOT, Broker, fill
from lab.brokers import BROKERS
from lab.jars import Jars, read_lock
from lab.walkthrough import walkthroughs
from tests import evidence
from tests.support import SCRIPTS

DOCS = ROOT / "docs"
FRONT_PAGE = ROOT / "README.md"
WALKTHROUGHS = walkthroughs(BROKERS)
NINE = {
    *("fifo", "work-queue", "fanout", "routing", "topic", "rpc", "headers"),
    *("dead-letter", "confirms"),
}
# Less of a message's own words would fit any other message.
OWN_CHARACTERS = 9

every_broker = pytest.mark.parametrize("broker", BROKERS.values(), ids=BROKERS)


def tokens(page: str | Path) -> list:
    """Of a page in docs/, by its name, or of another one."""
    return MarkdownIt().enable("table").parse((DOCS / page).read_text())


def rows(page: str | Path) -> Iterator[list]:
    """The rows of all tables of a page, also the headings: lists of cells."""
    row: list = []
    before = None
    for token in tokens(page):
        if token.type == "tr_open":
            row = []
        elif token.type == "tr_close":
            yield row
        elif token.type == "inline" and before.type in ("th_open", "td_open"):
            row.append(token)
        before = token


def section(page: Path, heading: str) -> str:
    """The text below a heading of the second level."""
    return re.search(
        rf"^## {heading}\n(.*?)(?=^## |\Z)", page.read_text(), re.M | re.S
    )[1]


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


def test_the_front_page_has_nine_patterns_on_each_broker():
    """Each cell leads to the walkthrough of its row, on the broker of its column."""
    table = [row for row in rows(FRONT_PAGE) if len(row) == 1 + len(BROKERS)]
    assert [cell.content for cell in table[0][1:]] == [
        b.title for b in BROKERS.values()
    ]
    natively = {
        (seen.row, seen.broker): seen.says.startswith("native")
        for seen in evidence.read()
        if seen.table == "patterns"
    }
    found = set()
    for pattern, *cells in table[1:]:
        slug = pattern.content.lower().replace(" ", "-")
        found.add(slug)
        assert [targets(cell) for cell in cells] == [
            [f"{name}/README.md#{slug}"] for name in BROKERS
        ]
        for name, cell in zip(BROKERS, cells, strict=True):
            assert f"{name}/{slug}" in WALKTHROUGHS
            (word,) = [part.content for part in cell.children if part.type == "text"]
            assert (word == "broker") is natively[slug, name]
    assert found == NINE


def is_of_the_nine(path: Path, broker: str) -> bool:
    """Whether the script's name is that of a pattern, or of none: the work queue."""
    words = path.stem.removeprefix(broker).lstrip("_").rpartition("_")[0]
    return not words or any(
        f"{words}_".startswith(f"{pattern.replace('-', '_')}_") for pattern in NINE
    )


@every_broker
def test_the_scripts_of_the_nine_patterns_stand_side_by_side(broker):
    text = (DOCS / "scripts.md").read_text()
    link = rf"\[{broker.title}\]\(\.\./({broker.name}/\w+\.py)\)"
    linked = set(re.findall(link, text))
    scripts = [each.path for each in SCRIPTS if each.broker == broker.name]
    wanted = {
        str(path.relative_to(ROOT))
        for path in scripts
        if is_of_the_nine(path, broker.name)
    }
    assert len(wanted) > 2 * len(NINE)
    assert linked == wanted


@every_broker
def test_see_inside_names_the_brokers_page(broker: Broker):
    """Address and login, and whether it is there without Docker."""
    row = next(
        [cell.content for cell in row]
        for row in rows(FRONT_PAGE)
        if row[0].content == broker.title
    )
    assert len(row) == 4
    assert ("with Docker only" in row[1]) == broker.page_needs_docker
    if broker.page is None:
        assert not row[1].startswith("page")
        assert row[2] == "none"
    else:
        address, login = fill(broker.page, broker.default_ports).split(" ", 1)
        assert row[1].startswith("page")
        assert row[1].endswith(f": {address}")
        assert f"({row[2]})" == login
    for port in re.findall(r"localhost:(\d+)", row[1]):
        assert int(port) in {port.default for port in broker.ports}


@every_broker
def test_what_is_installed(broker: Broker):
    """Size and version of the download by its lock file, and the image's version."""
    text = section(FRONT_PAGE, "What is installed")
    row = re.search(rf"^\| {broker.title} \| (.+) \|$", text, re.M)[1].split(" | ")
    *_, size, version, image_version = row
    services = YAML(typ="safe").load(ROOT / "docker-compose.yml")["services"]
    tag = services[broker.services[-1]]["image"].rpartition(":")[2]
    assert tag.partition("-")[0] == image_version
    if isinstance(broker.software, Jars):
        jars = read_lock(broker.name)
        assert size == f"{sum(jar.size for jar in jars) / 1e6:.0f} MB"
        own = [jar.coordinate for jar in jars if broker.name in jar.coordinate]
        assert any(version in re.split("[:@]", each) for each in own)
    else:
        assert (size, version) == ("by your system", "your system's")


@every_broker
def test_addresses_of_a_cluster_are_written_as_they_are_read(broker: Broker):
    text = section(FRONT_PAGE, "When one machine is not enough")
    settings = dotenv_values(
        stream=io.StringIO(re.search(r"```dotenv\n(.*?)```", text, re.S)[1])
    )
    assert len(settings) == len(BROKERS)
    mine = {name: settings[name] for name in broker.addresses if name in settings}
    assert len(mine) == 1
    nodes = broker.endpoints(broker.settings(mine))
    assert len({node.host for node in nodes}) == 2
    assert {node.port for node in nodes} == {broker.ports[0].default}
    # So does a script, which here ends before main(): no broker is called.
    path = str(broker.folder / f"{broker.name}_producer.py")
    code = "import runpy, sys; runpy.run_path(sys.argv[1])"
    command = [sys.executable, "-c", code, path]
    subprocess.run(command, env={**os.environ, **mine}, check=True)


SITUATIONS = [row for row in rows("which-one.md") if targets(row[0])]


@pytest.mark.parametrize("row", SITUATIONS, ids=lambda row: targets(row[0])[0])
def test_each_situation_has_its_answer_shown(row):
    """Table and section agree, and walkthroughs of both brokers show why."""
    situation = row[0].children[1].content
    text = section(DOCS / "which-one.md", situation)
    parts = re.split(r"^\*\*([A-Z][\w -]+)\*\*: ", text, flags=re.M)[1:]
    assert parts[::2] == ["Answer", "Runner-up", "Not shown"]
    for cell, reasons in zip(row[1:], parts[1::2], strict=False):
        assert reasons.startswith(cell.content)
        (name,) = [b.name for b in BROKERS.values() if b.title == cell.content]
        assert f"(../{name}/README.md#" in reasons


def test_the_situations_are_five():
    headings = re.findall(r"^## (.*)", (DOCS / "which-one.md").read_text(), re.M)
    assert headings[:-1] == [row[0].children[1].content for row in SITUATIONS]
    assert len(SITUATIONS) == 5
