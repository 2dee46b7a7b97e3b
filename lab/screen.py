"""Shows a replay: tabs side by side where there is room, else line by line."""

from collections import defaultdict

from rich.console import Console
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from lab.walkthrough import Walkthrough

COLOURS = ("cyan", "green", "magenta", "yellow", "blue")
NARROWEST_TAB = 26  # columns
BORDER = 4  # columns of a panel that are not text


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
        self.lines[tab].append(Text(text, style="bold" if typed else "default"))
        self.live.update(self.draw(), refresh=True)

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
