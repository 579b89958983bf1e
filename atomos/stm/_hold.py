"""Holding a cell: the right to link versions to it.

A hold is one store of a status into the cell, by who has the clock's turn. It ends
when that status is decided: nobody releases anything. Readers do not look at
it. Who wants to write sleeps until the holder's status is decided.

There is no deadlock. A committer never waits while it holds: it lets go of all
first (`_commit`). The one plain or escalated transaction at the head of the
queue waits while it holds, and those it waits for are committers only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from atomos.stm._cell import Cell, Version, latest
from atomos.stm._status import wait_for
from atomos.stm._turn import FREE, NEVER_ENDS, clock, release, turns

if TYPE_CHECKING:
    from atomos.stm._status import Patience, Status

__all__ = ["hold", "take", "wait_until_free"]

T = TypeVar("T")


def take(cell: Cell[Any], status: Status) -> Status | None:
    """Hold `cell` for `status` if it is free.

    Returns:
        None when it is held now, else the status that holds it.

    Cost: O(1), one turn.
    """
    for number in turns:
        try:
            holder = cell._holder
            if holder is None or holder.number != 0 or holder is status:
                cell._holder = status
                holder = None
        finally:
            clock.done = number
            if FREE:
                release()
        return holder
    raise AssertionError(NEVER_ENDS)


def hold(cell: Cell[T], status: Status, patience: Patience | None) -> Version[T]:
    """Hold `cell` for `status`, waiting for its holder; return the newest version.

    Raises:
        WouldDeadlockError: The calling thread itself holds it.
        TransactionTimeout: Its deadline passed first.
    """
    while True:
        holder = take(cell, status)
        if holder is None:
            return latest(cell)
        wait_for(holder, patience, cell._label(), status)


def wait_until_free(cell: Cell[Any], patience: Patience | None = None) -> None:
    """Sleep until whoever holds `cell` now is decided; at once if nobody does.

    Raises:
        WouldDeadlockError: The calling thread itself holds it.
        TransactionTimeout: Its deadline passed first.
    """
    holder = cell._holder
    if holder is not None and holder.number == 0:
        wait_for(holder, patience, cell._label())
