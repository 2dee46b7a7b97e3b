"""The rules for scripts and READMEs that a machine can check."""

import ast
import os
import re
import shlex
from collections import Counter
from functools import cache
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote

import pytest
from dotenv import dotenv_values
from markdown_it import MarkdownIt

from lab.broker import ROOT
from lab.brokers import BROKERS
from lab.cli import main
from lab.walkthrough import slug, walkthroughs
from tests.parameters import every_broker, every_script
from tests.rows import ROWS
from tests.support import SCRIPTS, settings_block

LINES_OF_CODE = 60
LINES_OF_DOCSTRING = 18
LONGER = {
    # pika's asynchronous connection wants a function for each event.
    "rabbitmq_confirms_async_producer.py": 68,
    # stomp.py has callbacks only: its scripts have eleven lines more than others.
    "activemq_confirms_async_producer.py": 61,
    "activemq_rpc_client.py": 66,
    "activemq_rpc_server.py": 68,
    # They have a listener, and nothing may come between two polls in a rebalance.
    "kafka_rebalance_consumer.py": 69,
    "kafka_rebalance_cooperative_consumer.py": 69,
    # It asks for a topic's metadata before its first poll().
    "kafka_replay_consumer.py": 61,
    # What they need is made first, over Pulsar's REST interface.
    "pulsar_fifo_consumer.py": 70,
    "pulsar_multi_tenancy_consumer.py": 62,
    # Two tables: all topics and all groups.
    "rocketmq_setup.py": 110,
    # RocketMQ's client has to be started and shut down, does not know yet whether it is
    # ready, and hides its errors in its log: some twenty lines more than others.
    "rocketmq_consumer.py": 61,
    "rocketmq_dead_letter_consumer.py": 62,
    "rocketmq_confirms_producer.py": 64,
    "rocketmq_fanout_consumer.py": 63,
    "rocketmq_order_consumer.py": 63,
    "rocketmq_fifo_consumer.py": 65,
    "rocketmq_routing_consumer.py": 65,
    "rocketmq_sql_filter_consumer.py": 68,
    "rocketmq_headers_consumer.py": 71,
    "rocketmq_confirms_async_producer.py": 71,
    "rocketmq_topic_consumer.py": 72,
    # The same, with a second client, or with a database and its checker.
    "rocketmq_rpc_server.py": 81,
    "rocketmq_rpc_client.py": 82,
    "rocketmq_transaction_producer.py": 93,
}
LINES_OF_GUARD = 10
WITH_A_CLASS = {
    # kafka-python wants an object of a class of its own as rebalance listener.
    "kafka_rebalance_consumer.py",
    "kafka_rebalance_cooperative_consumer.py",
    # And in Pulsar a class is the schema.
    "pulsar_schema_consumer.py",
    "pulsar_schema_producer.py",
    "pulsar_schema_newer_producer.py",
    "pulsar_schema_incompatible_producer.py",
    "rocketmq_transaction_producer.py",  # TransactionChecker
}

WALKTHROUGHS = walkthroughs(BROKERS)
COMMANDS = {
    command.text
    for walkthrough in WALKTHROUGHS.values()
    for tab in walkthrough.tabs
    for command in tab.commands
}


def docstring(script) -> str:
    return ast.get_docstring(ast.parse(script.path.read_text()), clean=False)


def class_block(script) -> str:
    return re.search(r"^class .*?\n\n\n", script.path.read_text(), re.M | re.S)[0]


def guard(script) -> str:
    return re.search(
        r'^if __name__ == "__main__":\n.*', script.path.read_text(), re.M | re.S
    )[0]


def typed_in_docstring(script) -> list[str]:
    lines = docstring(script).splitlines()
    return [line.strip() for line in lines if line.startswith("    python ")]


@every_script
def test_length(each):
    text = each.path.read_text().replace(docstring(each), "")
    lines = [line.strip() for line in text.splitlines()]
    code = [line for line in lines if line not in ("", '""""""') and line[0] != "#"]
    assert len(code) <= LONGER.get(each.name, LINES_OF_CODE)
    assert len(docstring(each).splitlines()) <= LINES_OF_DOCSTRING
    assert len(guard(each).splitlines()) <= LINES_OF_GUARD


@every_script
def test_skeleton(each):
    """Docstring, imports, settings, main() first of the functions, guard last."""
    tree = ast.parse(each.path.read_text())
    functions = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    assert functions[0] == "main"
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    row = ROWS[each.broker]
    assert len(classes) == (row.class_in_every_script or each.name in WITH_A_CLASS)
    assert isinstance(tree.body[-1], ast.If)
    caught = [
        node.type for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler)
    ]
    assert None not in caught  # a bare except
    names = {
        name.id for kind in caught for name in ast.walk(kind) if hasattr(name, "id")
    }
    allowed = {"Exception"} if row.raises_plain_exceptions else set()
    assert names.isdisjoint({"Exception", "BaseException"} - allowed)


@every_broker
def test_settings_and_guard_are_the_same_in_every_script(name):
    scripts = [each for each in SCRIPTS if each.broker == name and not each.is_setup]
    blocks = sorted({settings_block(each).rstrip() for each in scripts}, key=len)
    # Some may need another setting, after all of what the others have.
    assert len(blocks) <= 2
    assert blocks[-1].startswith(blocks[0])
    assert len({guard(each) for each in scripts}) == 1
    if ROWS[name].class_in_every_script:
        assert len({class_block(each) for each in scripts}) == 1


@every_broker
@pytest.mark.parametrize("function", ["admin", "create", "explain"])
def test_helpers_of_one_name_are_the_same(name, function):
    copies = {
        copy
        for each in SCRIPTS
        if each.broker == name
        for copy in re.findall(
            rf"^def {function}\(.*?\n\n\n", each.path.read_text(), re.M | re.S
        )
    }
    assert len(copies) <= 1


@every_script
def test_docstring(each):
    """Pattern and role, a diagram, the commands, one of them its own."""
    text = docstring(each)
    first = text.splitlines()[0]
    role = each.path.stem.rsplit("_", 1)[1]
    assert re.match(rf"[A-Z][\w ]*, ([a-z]+ )?{role}: .*\.$", first), first
    assert "-->" in text
    commands = typed_in_docstring(each)
    assert any(each.name in command for command in commands)


@every_script
def test_docstring_commands_are_walked_through(each):
    """What a docstring tells to type, a README shows with its output."""
    assert set(typed_in_docstring(each)) <= COMMANDS


@every_script
def test_it_stands_in_its_readme(each):
    readme = (each.path.parent / "README.md").read_text()
    assert f"]({each.name})" in readme
    assert any(each.name in command for command in COMMANDS)


@every_broker
def test_every_script_of_the_readme_exists(name):
    known = {each.name for each in SCRIPTS}
    for readme in (ROOT / "docs" / "scripts.md", BROKERS[name].folder / "README.md"):
        named = set(re.findall(rf"\b{name}_\w+\.py\b", readme.read_text()))
        assert named
        assert named <= known
    for command in COMMANDS:
        words = shlex.split(command)
        assert words[1] == "-m" or words[1] in known


@every_broker
def test_each_pattern_can_be_reset(name):
    """Each walkthrough belongs to a pattern whose things the lab knows."""
    for walkthrough in WALKTHROUGHS.values():
        if walkthrough.folder.name == name:
            pattern = walkthrough.name.split("/")[1]
            assert [p for p in BROKERS[name].creates if pattern.startswith(p)]


def test_env_example_has_every_setting_with_its_default():
    example = dotenv_values(ROOT / ".env.example")
    known = {}
    for broker in BROKERS.values():
        known |= broker.settings({})
    assert example == known

    read = {}
    for each in SCRIPTS:
        for name, default in re.findall(
            r'getenv\("(\w+)", "(.*?)"\)', settings_block(each)
        ):
            read[name] = default
        calls = settings_block(each).count("getenv(")
        assert each.path.read_text().count("getenv(") == calls
    assert read.items() <= example.items()


def test_the_front_page_shows_commands_that_are_walked_through():
    """What the root README tells to type in the tabs stands in a transcript."""
    typed = re.findall(
        r"^    (python \w+_\w+\.py.*)$", (ROOT / "README.md").read_text(), re.M
    )
    assert len(typed) >= 14
    assert set(typed) <= COMMANDS


def pages() -> list[Path]:
    """Every Markdown file of the repository; what a tool has put here is none."""
    found = []
    for folder, folders, files in os.walk(ROOT):
        here = Path(folder)
        if (here / "pyvenv.cfg").exists():
            folders.clear()
            continue
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [here / name for name in files if name.endswith(".md")]
    return sorted(found)


@pytest.mark.parametrize(
    "path",
    [*pages(), *(script.path for script in SCRIPTS)],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_the_labs_commands_are_understood(path):
    """Each `python -m lab ...` that a page or a script names can be typed so."""
    for typed in re.findall(r"python -m lab ([a-z]+[a-z /-]*)", path.read_text()):
        command, *arguments = typed.split()
        main.commands[command].make_context(command, list(arguments))


@cache
def anchors(page: Path) -> set[str]:
    """What a link to the page's headings says behind ``#``, as GitHub makes it."""
    tokens = MarkdownIt().parse(page.read_text())
    seen: Counter[str] = Counter()
    found = set()
    for before, token in pairwise(tokens):
        if before.type == "heading_open":
            # Of a link in a heading only the text counts.
            words = "".join(part.content for part in token.children)
            anchor = slug(words)
            found.add(f"{anchor}-{seen[anchor]}" if seen[anchor] else anchor)
            seen[anchor] += 1
    return found


def links(page: Path) -> list[str]:
    """Where the page's links and pictures lead; code is no link."""
    return [
        part.attrs.get("href") or part.attrs["src"]
        for token in MarkdownIt().parse(page.read_text())
        for part in token.children or ()
        if part.type in ("link_open", "image")
    ]


def leads_to(target: Path, anchor: str) -> bool:
    """Whether a page has this heading, or a source file so many lines."""
    if line := re.fullmatch(r"L(\d+)", anchor):
        return int(line[1]) <= len(target.read_text().splitlines())
    return anchor in anchors(target)


def broken_links(page: Path) -> list[str]:
    """The page's links to a file or a heading that is not there."""
    broken = []
    for link in links(page):
        if re.match(r"[a-z]+:", link):
            continue  # not to a file of ours
        file, _, anchor = link.partition("#")
        target = page.parent / unquote(file) if file else page
        if not target.exists() or (anchor and not leads_to(target, anchor)):
            broken.append(link)
    return broken


@pytest.mark.parametrize(
    "page", pages(), ids=lambda page: str(page.relative_to(ROOT))
)  # fmt: skip
def test_links_lead_somewhere(page):
    assert broken_links(page) == []


def test_there_are_pages_with_links():
    """Or the test above would be content with nothing."""
    assert {ROOT / "README.md", *(b.folder / "README.md" for b in BROKERS.values())} < {
        *pages()
    }
    assert all(links(broker.folder / "README.md") for broker in BROKERS.values())


@pytest.mark.parametrize(
    ("link", "leads_somewhere"),
    [
        ("other.md", True),
        ("./other.md#what-make-says", True),
        ("other.md#a-link", True),
        ("other.md#twice-1", True),
        ("#here", True),
        (".", True),
        ("https://example.org/#no-such", True),
        ("no-such.md", False),
        ("no-such.md#here", False),
        ("other.md#no-such", False),
        ("other.md#twice-2", False),
        ("other.md#a-comment-in-code", False),
        ("#no-such", False),
    ],
)
@pytest.mark.parametrize("text", ["[x]({})", "| a [x]({}) |\n| --- |", "![x]({})"])
def test_a_broken_link_is_found(text, link, leads_somewhere, tmp_path):
    other = "# What `make` says\n\n## [A link](x.md)\n\n## Twice\n\n## Twice\n\n"
    (tmp_path / "other.md").write_text(other + "```\n# A comment in code\n```\n")
    page = tmp_path / "page.md"
    page.write_text(f"# Here\n\n`[code](no-such.md)`\n\n{text.format(link)}\n")
    assert broken_links(page) == ([] if leads_somewhere else [link])


def test_every_script_that_waits_is_made_to_print():
    heard = {each.script for row in ROWS.values() for each in row.heard}
    assert heard == {each.name for each in SCRIPTS if each.goes_on}
