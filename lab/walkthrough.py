"""Reads the walkthroughs out of the brokers' READMEs.

A walkthrough is a section of ``<broker>/README.md`` with at least one block like

    ```console tab=worker-1
    $ python rabbitmq_consumer.py
    Waiting for tasks. Press Ctrl-C to stop.
    ^C
    ```

Its name is the folder and the heading as it stands in a link: ``rabbitmq/work-queue``.

In a block, ``$ python ...`` starts a script when the one before has ended,
``$ echo $?`` shows the status of the one before, and ``^C`` or ``^KILL`` alone on a
line is sent when the lines above have appeared. Every other line is output.
``~1,200/s`` in a line stands for any positive rate.

Marks behind ``tab=NAME`` loosen the comparison, each in one way:
``swap=A,B`` (the two tabs may change places), ``share=A,B`` (the two tabs share the
lines after their first in any way, but each gets some), ``order=any`` (the lines after
the first may come in any order).
"""

import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import NamedTuple

from markdown_it import MarkdownIt

from lab.broker import ROOT, LabError

KEYS = {"^C": "SIGINT", "^KILL": "SIGKILL"}
SHOW_STATUS = "$ echo $?"
# How a script says that it goes on until it is stopped.
GOES_ON = "Press Ctrl-C to stop"


@dataclass
class Command:
    """One ``$ python ...`` line and what stands below it."""

    text: str
    lines: list[str] = field(default_factory=list)
    keys: list[tuple[int, str]] = field(default_factory=list)  # lines above it, key
    status: int = 0

    @property
    def goes_on(self) -> bool:
        """Whether the script is stopped from outside, and has no failure to show."""
        return self.status == 0 and any(GOES_ON in line for line in self.lines)

    @property
    def is_preparation(self) -> bool:
        """Whether it only makes ready what the walkthrough's scripts use."""
        words = shlex.split(self.text)
        return words[1:3] == ["-m", "lab"] or words[1].endswith("_setup.py")


@dataclass
class Tab:
    name: str
    commands: list[Command]

    def lines(self) -> list[str]:
        return [line for command in self.commands for line in command.lines]


class Group(NamedTuple):
    """Tabs that are compared together, in one of the ways below."""

    way: str  # "exact", "swap", "share" or "any"
    tabs: tuple[str, ...]


@dataclass
class Walkthrough:
    name: str
    title: str
    folder: Path  # where its commands are typed
    text: list[str]  # the section's paragraphs
    tabs: list[Tab]
    groups: list[Group]

    @property
    def readme(self) -> str:
        return f"{self.folder.name}/README.md"

    @property
    def resets(self) -> bool:
        """Whether one of its commands deletes something on the broker."""
        commands = [command for tab in self.tabs for command in tab.commands]
        return any("-m lab reset" in command.text for command in commands)

    @property
    def concept(self) -> str:
        """The section's first sentence, on one line."""
        return self.text[0].replace("\n", " ").split(". ")[0].rstrip(".") + "."

    @property
    def observation(self) -> str:
        """The paragraph that starts with **Observation**, or nothing."""
        return next((t for t in self.text if t.startswith("**Observation")), "")


def walkthroughs(folders: Iterable[str]) -> dict[str, Walkthrough]:
    """All walkthroughs of the brokers with these folders, by name, in their order."""
    found: dict[str, Walkthrough] = {}
    for folder in folders:
        for walkthrough in in_readme(folder):
            if walkthrough.name in found:
                raise LabError(f"{walkthrough.name} stands twice in its README.")
            found[walkthrough.name] = walkthrough
    return found


@cache
def in_readme(folder: str) -> list[Walkthrough]:
    return parse((ROOT / folder / "README.md").read_text(), folder)


def parse(markdown: str, folder: str) -> list[Walkthrough]:
    """The walkthroughs in the text of a README. Raises LabError on a wrong block."""
    found: list[Walkthrough] = []
    title, text, blocks = "", [], []

    def close() -> None:
        if blocks:
            name = f"{folder}/{slug(title)}"
            found.append(build(name, title, text, blocks))

    # Not what is in the lines, which takes four fifths of the time.
    tokens = MarkdownIt().disable("inline").parse(markdown)
    for before, token in zip([None, *tokens], tokens, strict=False):
        if token.type == "inline" and before.type == "heading_open":
            close()
            title, text, blocks = token.content, [], []
        elif token.type == "inline" and before.type == "paragraph_open":
            text.append(token.content)
        elif token.type == "fence" and token.info.startswith("console tab="):
            blocks.append((token.info, token.content))
    close()
    return found


def slug(heading: str) -> str:
    """The heading as GitHub writes it in a link to it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def build(name: str, title: str, text: list[str], blocks: list) -> Walkthrough:
    tabs: list[Tab] = []
    groups: list[Group] = []
    for info, content in blocks:
        try:
            marks = dict(mark.split("=", 1) for mark in info.split()[1:])
        except ValueError:
            raise LabError(f"{name}: cannot read the marks of ```{info}") from None
        tab = Tab(marks.pop("tab"), read_commands(name, content))
        tabs.append(tab)
        for mark, value in marks.items():
            if mark in ("swap", "share") and value.count(",") == 1:
                groups.append(Group(mark, tuple(value.split(","))))
            elif (mark, value) == ("order", "any"):
                groups.append(Group("any", (tab.name,)))
            else:
                raise LabError(f"{name}: unknown mark {mark}={value}")
    names = [tab.name for tab in tabs]
    grouped = [tab for group in groups for tab in group.tabs]
    if len({*names}) < len(names) or len({*grouped}) < len(grouped):
        raise LabError(f"{name}: a tab stands twice, or in two marks")
    if unknown := {*grouped} - {*names}:
        raise LabError(f"{name}: a mark names no tab: {', '.join(unknown)}")
    groups += [Group("exact", (tab,)) for tab in names if tab not in grouped]
    folder = ROOT / name.split("/")[0]
    return Walkthrough(name, title, folder, text, tabs, groups)


def read_commands(name: str, content: str) -> list[Command]:
    commands: list[Command] = []
    expects_status = False
    for line in content.splitlines():
        if expects_status:
            if not line.isdecimal():
                raise LabError(
                    f"{name}: below '{SHOW_STATUS}' stands no status: {line}"
                )
            commands[-1].status = int(line)
            expects_status = False
        elif line == SHOW_STATUS and commands:
            expects_status = True
        elif line.startswith("$ python "):
            commands.append(Command(line.removeprefix("$ ")))
        elif not commands or line.startswith("$"):
            raise LabError(f"{name}: a block starts scripts with '$ python ': {line}")
        elif line in KEYS:
            commands[-1].keys.append((len(commands[-1].lines), line))
        else:
            commands[-1].lines.append(line)
    if expects_status:
        raise LabError(f"{name}: below '{SHOW_STATUS}' stands no status")
    return commands
