"""Reporting commits that serializable isolation would have refused.

Under ``isolation="snapshot"`` a commit checks what it writes. What it has only read
may have changed since its snapshot, and that is what this looks for, when the commit
has happened: whether each cell that was read, and not ensured, still has the version
that was read. So none is missed. A change that comes between the commit and this look
is taken for one before it: the versions do not tell, since those in between are not
kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from atomos._debug._places import innermost
from atomos._debug._warnings import WriteSkewWarning, report
from atomos.stm import _commit
from atomos.stm._cell import latest

if TYPE_CHECKING:
    from collections.abc import Callable

    from atomos.stm._cell import Cell
    from atomos.stm._commit import Change
    from atomos.stm._footprint import Write
    from atomos.stm._seams import Seams
    from atomos.stm._transaction import Transaction

__all__ = ["report_skew"]


def report_skew(seams: Seams) -> None:
    """Report from now on, until `seams` are closed."""
    # The short ways of a commit are taken only where all that was read is written.
    seams.function(_commit, "_settle", _reporting)


def _reporting(
    settle: Callable[[Transaction, list[Write], int], list[Change]],
) -> Callable[[Transaction, list[Write], int], list[Change]]:
    def reporting(tx: Transaction, entries: list[Write], number: int) -> list[Change]:
        changes = settle(tx, entries, number)
        if not (tx.serializable or tx.holding):
            stale = _stale(tx, entries)
            if stale:
                _report(tx, stale)
        return changes

    return reporting


def _stale(tx: Transaction, entries: list[Write]) -> list[Cell[Any]]:
    """Return what was read, not ensured, and has changed."""
    written = {entry.cell for entry in entries}
    found = [
        cell
        for cell, seen in list(tx.view.items())
        if cell not in written and latest(cell) is not seen
    ]
    # Read first, and then commuted: computed on the newest value, whatever was read.
    found += [
        entry.cell
        for entry in entries
        if entry.seen is not None and entry.base is not entry.seen
    ]
    ensured = tx.ensured or ()
    return [cell for cell in found if cell not in ensured]


def _report(tx: Transaction, stale: list[Cell[Any]]) -> None:
    names = ", ".join(cell._label() for cell in stale)
    message = (
        f"{tx.label} has committed with isolation='snapshot' what the default "
        f"isolation would have refused (write skew): it has read {names}, changed by "
        "others since. ensure() what the decision depends on, or leave isolation out"
    )
    report(message, WriteSkewWarning, innermost())
