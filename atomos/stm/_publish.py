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
from atomos.stm._clock import clock
from atomos.stm._history import trim_or_leave
from atomos.stm._registry import open_points
from atomos.stm._status import NOBODY

if TYPE_CHECKING:
    from typing import Any

__all__ = ["publish", "publish_two"]

T = TypeVar("T")
_lock = clock.lock


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
    with _lock:
        if cell._newest is not old:
            return False
        holder = cell._holder
        if holder is not None:
            if holder.number == 0:
                return False
            cell._holder = None
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
    if (
        not clock.observed
        and old.number >= clock.fresh
        and old.older is None
        and cell._history is None
    ):
        new.older = None
    else:
        trim_or_leave(cell, new, open_points())
    return True


def publish_two(
    cell: Cell[Any], new: Version[Any], other: Cell[Any], other_new: Version[Any]
) -> bool:
    """Commit `new` and `other_new`, if what they lie on is still newest.

    Args:
        cell: One cell.
        new: Its new version; `older` is set, and settled.
        other: Another cell.
        other_new: Its new version.

    Returns:
        Whether they were committed. If not, a cell was written or is held.

    Cost: O(1), one lock. The displaced versions are for the caller to trim.
    """
    new.owner = NOBODY
    other_new.owner = new
    with _lock:
        if cell._newest is not new.older or other._newest is not other_new.older:
            return False
        holder = cell._holder
        if holder is not None and holder.number == 0:
            return False
        holder = other._holder
        if holder is not None and holder.number == 0:
            return False
        left = clock.pending
        if left is not None and left.number > clock.now:
            clock.now = left.number
        number = clock.now + 1
        cell._newest = new
        other._newest = other_new
        clock.pending = new
        new.number = number  # the commit point of both
        clock.now = number
        clock.pending = None
        if clock.observed:
            clock.observed = False
            clock.fresh = number
    return True
