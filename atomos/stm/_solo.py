"""Atoms and atomics outside a transaction: a transaction over one cell.

It needs no snapshot, no status and no hold: read, compute, publish. A cell that
is held, or has an undecided version, is not written: its transaction is waited
for.

Inside a transaction every call becomes a read and a write of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from atomos.stm._cell import Cell, latest
from atomos.stm._hold import wait_until_free
from atomos.stm._home import KEEP
from atomos.stm._inside import inside
from atomos.stm._publish import publish
from atomos.stm._seat import seated
from atomos.stm._turn import FREE, NEVER_ENDS, clock, release, turns

if TYPE_CHECKING:
    from collections.abc import Callable


__all__ = [
    "clear_way",
    "compare_and_exchange",
    "exchange",
    "read",
    "store",
    "update",
]

T = TypeVar("T")


def clear_way(cell: Cell[Any]) -> None:
    """Wait for who holds `cell`, and unlink what was aborted.

    Raises:
        WouldDeadlockError: The calling thread itself holds it.
    """
    wait_until_free(cell)
    for number in turns:
        try:
            holder = cell._holder
            newest = cell._newest
            if newest.number == 0 and (holder is None or holder.number != 0):
                # Nobody is between linking and numbering while we have the turn, but
                # the owner of a decided version may just be settling it.
                owner = newest.owner
                if owner is not None:
                    if owner.number > 0:
                        newest.number = owner.number
                    elif newest.older is not None:
                        cell._newest = newest.older
        finally:
            clock.done = number
            if FREE:
                release()
        break
    else:
        raise AssertionError(NEVER_ENDS)


def read(cell: Cell[T]) -> T:
    """Return the value: the transaction's own, else the latest committed."""
    if seated and (tx := inside()) is not None:
        return tx.read(cell)
    return latest(cell).value


def exchange(cell: Cell[T], value: T) -> T:
    """Set `cell` to `value`; return the value before."""
    if seated and (tx := inside()) is not None:
        before = tx.read(cell)
        tx.write(cell, value)
        return before
    if cell._home is not None:
        before = cell._home.change(cell, lambda _: value, True)[0]
        return before
    if cell._extras is not None:
        cell._admit(value)
    while True:
        old = cell._newest
        if old.number > 0 and publish(cell, old, value):
            break
        clear_way(cell)
    if cell._extras is not None:
        cell._committed(old.value, value)
    return old.value


def store(cell: Cell[T], value: T) -> None:
    """Set `cell` to `value` without reading it."""
    if seated and (tx := inside()) is not None:
        tx.write(cell, value)
        return
    exchange(cell, value)


def update(
    cell: Cell[T], fn: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[T, T]:
    """Set `cell` to ``fn(value, *args, **kwargs)``; return before and after.

    `fn` runs outside of every lock, again if somebody else was faster.
    """
    if seated and (tx := inside()) is not None:
        tx.refuse_if_read_only(cell)
        before = tx.read(cell)
        after = fn(before, *args, **kwargs)
        tx.write(cell, after)
        return before, after
    if cell._home is not None:
        return cell._home.change(cell, lambda old: fn(old, *args, **kwargs), False)
    while True:
        old = cell._newest
        if old.number > 0:
            after = fn(old.value, *args, **kwargs)
            if cell._extras is not None:
                cell._admit(after)
            if publish(cell, old, after):
                break
        clear_way(cell)
    if cell._extras is not None:
        cell._committed(old.value, after)
    return old.value, after


def compare_and_exchange(
    cell: Cell[T], expected: object, value: T, same: Callable[[Any, Any], object]
) -> tuple[bool, T]:
    """Set `cell` to `value` if ``same(present, expected)``.

    Returns:
        Whether it was set, and the value found.
    """
    if seated and (tx := inside()) is not None:
        tx.refuse_if_read_only(cell)
        found = tx.read(cell)
        if not same(found, expected):
            return False, found
        tx.write(cell, value)
        return True, found
    if cell._home is not None:
        found, after = cell._home.change(
            cell, lambda found: value if same(found, expected) else KEEP, False
        )
        return after is not KEEP, found
    while True:
        old = latest(cell)
        if not same(old.value, expected):
            return False, old.value
        if cell._extras is not None:
            cell._admit(value)
        if publish(cell, old, value):
            break
        clear_way(cell)
    if cell._extras is not None:
        cell._committed(old.value, value)
    return True, old.value
