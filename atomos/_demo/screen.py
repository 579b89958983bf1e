"""Progress and tables on the terminal: with rich if it is there, else plain."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

try:
    from rich.console import Console, Group
    from rich.live import Live
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
    )
    from rich.table import Table
except ImportError:
    HAS_RICH = False
else:
    HAS_RICH = True

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    #: Called with the number of files done.
    Show = Callable[[int], object]
    #: The head of a table, and its rows.
    Cells = tuple[Sequence[str], Sequence[Sequence[str]]]
    #: Called with text, and with the same as tables.
    Look = Callable[[str, Sequence[Cells]], object]

__all__ = ["HAS_RICH", "live", "progress", "say", "table"]


def say(text: str) -> None:
    """Print a line; characters that the terminal cannot show are escaped."""
    coding = sys.stdout.encoding or "ascii"
    print(text.encode(coding, "backslashreplace").decode(coding), flush=True)


@contextmanager
def progress(label: str, total: int) -> Iterator[Show]:
    """Show how far something is; yields a function to tell it."""
    if HAS_RICH:
        with _rich_progress() as bar:
            task = bar.add_task(label, total=total)
            yield lambda done: bar.update(task, completed=done)
        return
    line = _PlainLine(label, total)
    try:
        yield line.show
    finally:
        line.end()


def _rich_progress() -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )


class _PlainLine:
    """One line of text: rewritten on a terminal, else printed at the end."""

    def __init__(self, label: str, total: int) -> None:
        self._label = label
        self._total = total
        self._done = 0
        self._live = sys.stdout.isatty()

    def show(self, done: int) -> None:
        self._done = done
        if self._live:
            print(f"\r{self._text()}", end="", flush=True)

    def end(self) -> None:
        print(f"\r{self._text()}" if self._live else self._text(), flush=True)

    def _text(self) -> str:
        return f"{self._label}: {self._done} of {self._total} files"


def table(title: str, rows: Sequence[tuple[str, str]]) -> None:
    """Print two columns, the second one to the right."""
    if HAS_RICH:
        grid = Table(title=title, show_header=False, title_justify="left")
        grid.add_column()
        grid.add_column(justify="right")
        for row in rows:
            grid.add_row(*row)
        Console(markup=False, highlight=False).print(grid)
        return
    left = max(len(label) for label, _ in rows)
    right = max(len(value) for _, value in rows)
    say(title)
    for label, value in rows:
        say(f"  {label:<{left}}  {value:>{right}}")


@contextmanager
def live() -> Iterator[Look]:
    """Show tables that change; yields a function to give the new ones to.

    Without rich, or where the output is no terminal, they follow one another as text.
    """
    if not (HAS_RICH and sys.stdout.isatty()):
        yield lambda text, tables: say(text + "\n")
        return
    console = Console(markup=False, highlight=False)
    with Live(console=console, auto_refresh=False) as screen:

        def show(text: str, tables: Sequence[Cells]) -> None:
            screen.update(Group(*map(_grid, tables)), refresh=True)

        yield show


def _grid(cells: Cells) -> Table:
    """Return a table whose columns are to the right, but for the first and seventh."""
    head, rows = cells
    grid = Table()
    for place, name in enumerate(head):
        grid.add_column(name, justify="left" if place in (0, 6) else "right")
    for row in rows:
        grid.add_row(*row)
    return grid
