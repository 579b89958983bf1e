"""Commits of one or two cells, in one section under the clock's lock.

The short way for atoms, and for transactions that wrote one or two cells and
read no others: see that the cells are as they were read, and not held; link;
step the clock (`_clock`). Check and commit point are one section, so nothing is
validated again, and there is no status: the first new version is the commit
record of both. It is linked with number 0, announced, numbered.

The section neither calls nor loops: a backward jump, as a call, may run a
signal handler or switch threads. That is why it is written out for two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from atomos.stm._cell import Cell, Version
from atomos.stm._clock import NEVER_ENDS, clock, release, taken
from atomos.stm._history import trim_or_leave
from atomos.stm._registry import open_points
from atomos.stm._status import NOBODY

if TYPE_CHECKING:
    from atomos.stm._footprint import Entry

__all__ = ["publish", "publish_pair"]

T = TypeVar("T")


def publish(cell: Cell[T], old: Version[T], value: T) -> bool:
    """Commit `value` on `cell` if `old` is still its newest version.

    Returns:
        Whether it was committed. If not, `cell` was written or is held.

    Cost: O(1), one lock.
    """
    new: Version[T] = Version()
    new.value = value
    new.number = 0
    new.older = old
    new.owner = NOBODY
    for _ in taken:
        try:
            if cell._newest is not old:
                return False
            holder = cell._holder
            if holder is not None and holder.number == 0:
                return False
            left = clock.pending
            if left is not None and left.number > clock.now:
                clock.now = left.number
            number = clock.now + 1
            cell._newest = new
            clock.pending = new
            new.number = number  # the commit point
            clock.now = number
            clock.pending = None
            if clock.observed:
                clock.observed = False
                clock.fresh = number
            elif (
                old.number >= clock.fresh
                and old.older is None
                and cell._history is None
            ):
                new.older = None  # no snapshot was opened since: nobody needs it
                return True
        finally:
            release()
        break
    else:
        raise AssertionError(NEVER_ENDS)
    trim_or_leave(cell, new, open_points())
    return True


def publish_pair(one: Entry, two: Entry) -> bool:
    """Commit two plain cells that an attempt has read and written.

    Args:
        one: What it knows of one cell.
        two: What it knows of the other.

    Returns:
        False when it cannot be done so, or a cell was written or is held: the
        long way will do it, or tell why not.

    Cost: O(1), one lock.
    """
    base, new, other_base, other_new = one.seen, one.new, two.seen, two.new
    if base is None or other_base is None or new is None or other_new is None:
        return False
    cell, other = one.cell, two.cell
    if cell._extras is not None or other._extras is not None:
        return False
    new.older = base
    new.owner = NOBODY
    other_new.older = other_base
    other_new.owner = new
    for _ in taken:
        try:
            if cell._newest is not base or other._newest is not other_base:
                return False
            holder = cell._holder
            if holder is not None and holder.number == 0:
                return False
            holder = other._holder
            if holder is not None and holder.number == 0:
                return False
            c = clock
            left = c.pending
            if left is not None and left.number > c.now:
                c.now = left.number
            cell._newest = c.pending = new
            other._newest = other_new
            new.number = number = c.now + 1  # the commit point of both
            c.now = number
            c.pending = None
            if c.observed:
                c.observed = False
                c.fresh = number
        finally:
            release()
        break
    else:
        raise AssertionError(NEVER_ENDS)
    other_new.number = number
    other_new.owner = None
    points = open_points()
    if points or base.older is not None or cell._history is not None:
        trim_or_leave(cell, new, points)
    else:
        new.older = None
    if points or other_base.older is not None or other._history is not None:
        trim_or_leave(other, other_new, points)
    else:
        other_new.older = None
    return True
