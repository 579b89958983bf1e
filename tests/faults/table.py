"""The table of figures: with rich if it is there, else plain."""

from __future__ import annotations

from collections.abc import Sequence

from faults.campaign import Campaign, Figure, number

try:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text
except ImportError:
    HAVE_RICH = False
else:
    HAVE_RICH = True

#: A campaign, the seconds that it took, and what it has shown.
Result = tuple[Campaign, float, list[Figure]]

COLUMNS = ("campaign", "what", "value", "promise", "holds")
#: What is not a terminal gets lines of this length.
WIDTH = 110


def lines(results: Sequence[Result]) -> list[tuple[str, ...]]:
    """Return the lines of the table; a campaign is named in its first one."""
    found = []
    for campaign, seconds, figures in results:
        found.append((campaign.name, campaign.what, f"{seconds:.0f} s", "", ""))
        for figure in figures:
            holds = "yes" if figure.holds else "NO"
            found.append(("", figure.what, number(figure.value), figure.promise, holds))
    return found


def show(results: Sequence[Result]) -> None:
    """Print the table."""
    if HAVE_RICH:
        _show_rich(results)
    else:
        _show_plain(results)


def _show_rich(results: Sequence[Result]) -> None:
    table = Table(show_edge=False, pad_edge=False)
    for column in COLUMNS:
        table.add_column(column, overflow="fold")
    for name, what, *others, holds in lines(results):
        style = {"yes": "green", "NO": "bold red"}.get(holds, "")
        words = Text(what, style="bold" if name else "")
        table.add_row(name, words, *others, Text(holds, style=style))
    console = Console()
    Console(width=None if console.is_terminal else WIDTH).print(table)


def _show_plain(results: Sequence[Result]) -> None:
    found = [COLUMNS, *lines(results)]
    widths = [max(map(len, column)) for column in zip(*found, strict=True)]
    for line in found:
        padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        print("  ".join(padded).rstrip())
