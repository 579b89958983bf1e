"""Commits of one or two cells, in one turn at the clock.

The short way for atoms, and for transactions that have touched no more than two
cells: take the clock's turn (`_clock`); see that the cells are as they were read,
and what is written not held; step the clock and link. Check and commit point are
one turn, so nothing is validated again, and there is no status: of two cells, the
first new version is the commit record of both.

What is done with the turn neither calls nor loops: a backward jump, as a call, may
run a signal handler or switch threads. That is why it is written out for two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from atomos.stm._cell import Cell, Version
from atomos.stm._history import trim
from atomos.stm._registry import my_record
from atomos.stm._snapshots import open_points
from atomos.stm._status import NOBODY
from atomos.stm._turn import FREE, clock, release, turns
from atomos.stm._wait import wake, wake_all

if TYPE_CHECKING:
    from atomos.stm._transaction import Transaction

__all__ = ["publish", "publish_one", "publish_two"]

T = TypeVar("T")


def publish(cell: Cell[T], old: Version[T], value: T) -> bool:
    """Commit `value` on `cell` if `old` is still its newest version.

    Returns:
        Whether it was committed. If not, `cell` was written or is held.

    Cost: O(1), one turn.
    """
    new: Version[T] = Version()
    new.value = value
    new.older = old
    c = clock
    steps = c.steps
    try:
        while True:
            for number in steps:
                if number != c.done + 1:
                    c.skipped[number] = None
                    break
                try:
                    if cell._newest is not old:
                        return False
                    holder = cell._holder
                    if holder is not None:
                        if holder.number == 0:
                            return False
                        cell._holder = None
                    if c.observed:
                        c.observed = False
                        c.fresh = number  # before `now`: see `_clock`
                    c.now = number
                    new.number = number
                    if not (
                        c.observed
                        or old.number < c.fresh
                        or old.older is not None
                        or cell._sleepers is not None
                    ):
                        # No snapshot was opened since: nobody needs the old one.
                        new.older = None
                        cell._newest = new  # the commit point
                        return True
                    cell._newest = new  # the commit point
                finally:
                    c.done = number
                    if FREE:
                        release()
                if cell._sleepers is not None:
                    wake(cell)
                trim(cell, new, open_points(my_record()))
                return True
            steps = turns  # no number was ready, or it was somebody else's turn: wait
    except BaseException:
        wake(cell)  # an exception from outside, perhaps between commit and waking
        raise


def publish_one(tx: Transaction) -> bool:
    """Commit an attempt that has touched one cell and written it, if it is plain.

    A cell that was written without reading gets its new version on top of
    whatever is newest.

    Returns:
        False when it cannot be done so, or the cell was written or is held: the
        long way will do it, or tell why not.

    Cost: O(1), one turn.
    """
    cell = tx.writes[0]
    new = tx.view[cell]
    base = new.older or cell._newest
    if new.number != 0 or base.number == 0 or cell._extras is not None:
        return False
    if not tx.serializable and base.number > tx.point:
        return False
    thread = tx.thread
    c = thread.clock
    for number in thread.steps if FREE else clock.steps:
        if not FREE and number != c.done + 1:
            clock.skipped[number] = None
            return False
        try:
            holder = cell._holder
            if cell._newest is not base or (holder is not None and holder.number == 0):
                return False
            c.now = number
            new.older = base
            new.number = number
            cell._newest = new  # the commit point
        finally:
            c.done = number
            if FREE:
                thread.release()
        if cell._sleepers is not None:
            wake(cell)
        points = open_points(thread)
        if points or base.older is not None:
            trim(cell, new, points)
        else:
            new.older = None
        return True
    return False


def publish_two(tx: Transaction) -> bool:
    """As `publish_one`, where two cells were touched, and both were written."""
    cell, other = tx.writes
    view = tx.view
    new, also = view[cell], view[other]
    base, other_base = new.older or cell._newest, also.older or other._newest
    if new.number != 0 or base.number == 0 or cell._extras is not None:
        return False
    if also.number != 0 or other_base.number == 0 or other._extras is not None:
        return False
    if cell is other:
        return False  # see `_entries` in `_commit`
    if not tx.serializable and not base.number <= tx.point >= other_base.number:
        return False
    new.owner = NOBODY
    also.owner = new
    thread = tx.thread
    c = thread.clock
    for number in thread.steps if FREE else clock.steps:
        if not FREE and number != c.done + 1:
            clock.skipped[number] = None
            return False
        try:
            if cell._newest is not base or other._newest is not other_base:
                return False
            holder = cell._holder
            if holder is not None and holder.number == 0:
                return False
            holder = other._holder
            if holder is not None and holder.number == 0:
                return False
            new.older = base
            also.older = other_base
            c.step = number
            cell._newest = thread.pending = new
            other._newest = also
            new.number = number  # the commit point of both
            c.now = number
            thread.pending = None
        finally:
            c.done = number
            if FREE:
                thread.release()
        also.number = number
        also.owner = None
        if cell._sleepers is not None or other._sleepers is not None:
            wake_all(tx.writes)
        points = open_points(thread)
        if points or base.older is not None:
            trim(cell, new, points)
        else:
            new.older = None
        if points or other_base.older is not None:
            trim(other, also, points)
        else:
            also.older = None
        return True
    return False
