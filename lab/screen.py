"""Shows a replay: tabs side by side where there is room, else line by line."""

import re
from collections import defaultdict
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from lab.walkthrough import Walkthrough

COLOURS = ("cyan", "green", "magenta", "yellow", "blue")
NARROWEST_TAB = 26  # columns
BORDER = 4  # columns of a panel that are not text
PICTURE_COLUMNS, PICTURE_ROWS = 102, 60


def view(console: Console, walkthrough: Walkthrough) -> "LineByLine | SideBySide":
    """The view that fits the console; to be used in a ``with`` statement."""
    tabs = len(walkthrough.tabs)
    if console.is_terminal and console.width >= tabs * NARROWEST_TAB:
        return SideBySide(console, walkthrough)
    return LineByLine(console, walkthrough)


def colours(walkthrough: Walkthrough) -> dict[str, str]:
    names = [tab.name for tab in walkthrough.tabs]
    return {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(names)}


class LineByLine:
    """Each line behind the name of its tab; in colour on a terminal."""

    def __init__(self, console: Console, walkthrough: Walkthrough):
        self.console = console
        self.colours = colours(walkthrough)
        self.width = max(map(len, self.colours))

    def __enter__(self) -> "LineByLine":
        return self

    def __exit__(self, *_) -> None:
        pass

    def show(self, tab: str, text: str, *, typed: bool = False) -> None:
        line = Text(f"{tab:{self.width}} | ", style=self.colours[tab])
        line.append(text, style="bold" if typed else "default")
        self.console.print(line, soft_wrap=True)


class SideBySide:
    """A panel for each tab."""

    def __init__(self, console: Console, walkthrough: Walkthrough):
        self.console = console
        self.colours = colours(walkthrough)
        self.lines: dict[str, list[Text]] = defaultdict(list)
        # Redrawn at each new line: a drawing thread would get in the way of the
        # forks that open the tabs.
        self.live = Live(console=console, auto_refresh=False)

    def __enter__(self) -> "SideBySide":
        self.live.start()
        return self

    def __exit__(self, *_) -> None:
        self.live.stop()

    def show(self, tab: str, text: str, *, typed: bool = False) -> None:
        self.add(tab, text, typed)
        self.live.update(self.draw(), refresh=True)

    def add(self, tab: str, text: str, typed: bool) -> None:
        self.lines[tab].append(Text(text, style="bold" if typed else "default"))

    def draw(self) -> Table:
        inner = self.console.width // len(self.colours) - BORDER
        wrapped = {
            tab: [
                part
                for line in self.lines[tab]
                for part in line.wrap(self.console, inner, overflow="fold")
            ]
            for tab in self.colours
        }
        # One row is left for the prompt below, two for the panels' borders.
        rows = min(self.console.height - 3, max(map(len, wrapped.values())))
        table = Table.grid(expand=True)
        for _ in wrapped:
            table.add_column(ratio=1)
        table.add_row(
            *(
                Panel(
                    Text("\n").join(lines[-rows:]),
                    title=tab,
                    border_style=self.colours[tab],
                    height=rows + 2,
                )
                for tab, lines in wrapped.items()
            )
        )
        return table


class Recording:
    """Passes on what it is shown to a view, and keeps it for a picture."""

    def __init__(self, view: "LineByLine | SideBySide", walkthrough: Walkthrough):
        self.view = view
        self.title = walkthrough.title
        self.console = Console(
            file=StringIO(),
            record=True,
            width=PICTURE_COLUMNS,
            height=PICTURE_ROWS,
            force_terminal=True,
            color_system="truecolor",
        )
        self.tabs = SideBySide(self.console, walkthrough)

    def show(self, tab: str, text: str, *, typed: bool = False) -> None:
        self.view.show(tab, text, typed=typed)
        self.tabs.add(tab, text, typed)

    def save(self, path: Path) -> None:
        """Write the tabs as an SVG file. Raises OSError."""
        self.console.print(self.tabs.draw())
        svg = self.console.export_svg(title=self.title)
        # Without the fonts that the reader's browser would have to download.
        path.write_text(re.sub(r"@font-face \{[^}]*\}\s*", "", svg))
