"""What a fault must not leave behind, counted."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from helpers import elsewhere

from atomos import Atom, Ref, dosync
from atomos.errors import TransactionAborted
from atomos.stm._registry import registry
from faults.campaign import Figure, none

#: Seconds within which another thread must be able to commit.
SOON = 5.0


def held(cells: Iterable[Any]) -> int:
    """Return how many of `cells` are held by a transaction that can still commit."""
    holders = [cell._holder for cell in cells]
    return sum(holder is not None and not holder.gone() for holder in holders)


def open_snapshots() -> int:
    """Return how many transactions of living threads still keep old versions."""
    living = [record for record in registry.records if not record.dead]
    return sum(one.running for record in living for one in record.snapshots.copy())


def old_versions(refs: Iterable[Ref[Any]]) -> int:
    """Trim `refs`; return how many old versions they still keep."""
    count = 0
    for ref in refs:
        ref.trim_history()
        count += ref.history_count
    return count


def written_elsewhere(cells: Iterable[Any]) -> int:
    """Have another thread write each of `cells`; return how many it could not write."""

    def write(cell: Any) -> bool:
        change = cell.swap if isinstance(cell, Atom) else cell.alter
        change(lambda value: value)
        return True

    def each() -> int:
        return sum(not _in_time(write, cell) for cell in cells)

    return elsewhere(each)


def _in_time(write: Any, cell: Any) -> bool:
    try:
        return dosync(timeout=SOON)(write)(cell)
    except TransactionAborted:
        return False


def nothing_left(cells: list[Any]) -> list[Figure]:
    """Return the figures that every campaign ends with."""
    refs = [cell for cell in cells if isinstance(cell, Ref)]
    return [
        none("cells left held", held(cells)),
        none("cells that another thread cannot write", written_elsewhere(cells)),
        none("transactions left in the registry", open_snapshots()),
        none("old versions left after trimming", old_versions(refs)),
    ]
