"""The table and the progress display: with rich if it is there, else plain."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from benchmarks.result import Figure, Row

    Results = Sequence[tuple[Row, Figure]]

try:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.table import Table
    from rich.text import Text
except ImportError:
    HAVE_RICH = False
else:
    HAVE_RICH = True

COLUMNS = ("work", "measured", "spread", "must be", "verdict")
STYLES = {"ok": "green", "MISSED": "bold red", "FAILED": "bold red", "-": "dim"}
#: What is not a terminal gets lines of this length.
WIDTH = 110


def cells(row: Row, figure: Figure) -> tuple[str, str, str, str, str]:
    """Return what a line of the table says, one string for each of `COLUMNS`."""
    unit, values = row.bound.unit, figure.values
    measured = spread = ""
    if values:
        measured = unit.long(figure.representative(row.bound))
        spread = f"{unit.short(min(values))}..{unit.short(max(values))}"
    return row.title, measured, spread, str(row.bound), figure.verdict(row.bound)


def remark(figure: Figure) -> str:
    """Return the second line of a row: why nothing was measured, or orientation."""
    if figure.missing:
        return figure.missing
    return f"for orientation only: {figure.beside}" if figure.beside else ""


def remarks(results: Results) -> list[str]:
    """Return the second line of each row, but nothing twice in a row."""
    found = [remark(figure) for _, figure in results]
    return [
        now if now != before else ""
        for before, now in zip(["", *found], found, strict=False)
    ]


def show(results: Results) -> None:
    """Print the table."""
    if HAVE_RICH:
        _show_rich(results)
    else:
        _show_plain(results)


def _show_rich(results: Results) -> None:
    table = Table(show_edge=False, pad_edge=False)
    for column in COLUMNS:
        table.add_column(column, overflow="fold")
    for (row, figure), words in zip(results, remarks(results), strict=True):
        title, *others, verdict = cells(row, figure)
        work = Text(title)
        if words:
            work.append(f"\n{words}", style="dim")
        table.add_row(work, *others, Text(verdict, style=STYLES[verdict]))
    console = Console()
    Console(width=None if console.is_terminal else WIDTH).print(table)


def _show_plain(results: Results) -> None:
    lines = [COLUMNS, *(cells(row, figure) for row, figure in results)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line, words in zip(lines, ["", *remarks(results)], strict=True):
        padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        print("  ".join(padded).rstrip())
        if words:
            print(f"    {words}")


@contextmanager
def progress(steps: int) -> Iterator[Callable[[str], None]]:
    """Give a function to call with a name before each of `steps` steps."""
    if not HAVE_RICH or not sys.stderr.isatty():
        yield lambda name: print(f"measuring: {name}", file=sys.stderr, flush=True)
        return
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    console = Console(stderr=True)
    # Without auto_refresh there is no thread that would disturb what is measured.
    with Progress(*columns, console=console, auto_refresh=False, transient=True) as bar:
        task = bar.add_task("", total=steps)
        begun = 0

        def begin(name: str) -> None:
            nonlocal begun
            bar.update(task, completed=begun, description=name, refresh=True)
            begun += 1

        yield begin
