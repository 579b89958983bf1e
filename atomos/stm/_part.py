"""Parts of an attempt: how a nested call begins, ends, and is undone.

An exception that leaves a part undoes it, whoever catches it. A signal of the engine
undoes nothing: the attempt is over, or an alternative around the part is undone.

An exception from outside may come in while a part is being undone. So the attempt is
doomed meanwhile, and stays so if that is cut short: no half of a part is committed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from atomos.stm._footprint import CUT_SHORT
from atomos.stm._journal import Journal, Part

if TYPE_CHECKING:
    from collections.abc import Callable

    from atomos.stm._transaction import Transaction

__all__ = ["begin_part", "end_part", "journal_of", "run_part", "undo_part"]

R = TypeVar("R")


def journal_of(tx: Transaction) -> Journal:
    """Return the journal of a running attempt, made when it is first asked for."""
    journal = tx.journal
    if journal is None:
        journal = tx.journal = Journal()
    return journal


def begin_part(tx: Transaction, read_only: bool | str, choice: bool = False) -> Part:
    """Begin a part of the running attempt `tx`.

    Args:
        tx: The attempt.
        read_only: What `tx.read_only` was around it.
        choice: There is an alternative to it.

    Cost: O(1).
    """
    journal = journal_of(tx)
    part = Part()
    part.journal = journal
    part.outer = journal.part
    part.written = len(tx.writes)
    part.hooked = len(journal.hooks)
    part.kept = {}
    part.read_only = read_only
    part.choice = choice
    part.open = True
    journal.part = part
    return part


def end_part(tx: Transaction, part: Part) -> None:
    """Make what `part` has done a part of what is around it; at once, or not at all.

    Cost: O(what it has changed in place) where that around it has done so, too.
    """
    if not part.open:
        return  # undone together with what is around it
    journal, outer = part.journal, part.outer
    if outer is not None:
        if outer.kept:
            for key, before in part.kept.items():
                outer.kept.setdefault(key, before)
        else:
            outer.kept = part.kept
    above = journal.part
    tx.read_only = part.read_only
    if above is part:
        journal.part = outer
    else:
        # A generator has left a block open that it began in this part.
        while above is not None and above.outer is not part:
            above = above.outer
        if above is not None:
            above.read_only = part.read_only
            above.outer = outer
    part.open = False


def undo_part(tx: Transaction, part: Part) -> None:
    """Undo what was done in `part`, and in what was left open in it.

    Args:
        tx: The attempt, which the caller has doomed, by a plain store: to call
            something may be too late. It is not doomed any more afterwards, if it
            belongs to the calling thread and task; else it cannot be undone here.
        part: One of it that is open.

    Cost: O(what it has written).
    """
    if not tx.is_here():
        return
    journal, view = part.journal, tx.view
    inner = journal.part
    while inner is not None and inner is not part.outer:
        for version, value, count in inner.kept.values():
            if count < 0:
                version.value = value
            else:
                del version.value[count:]
        inner.open = False
        inner = inner.outer
    for cell in dict.fromkeys(tx.writes[part.written :]):
        own = view[cell]
        if own.number > 0:
            continue  # not one of its own: see `_entries` in `_commit`
        seen = own.older
        if seen is not None:
            view[cell] = seen
        else:
            del view[cell]
            if not tx.serializable and tx.ensured is not None:
                tx.ensured.discard(cell)
    del tx.writes[part.written :]
    del journal.hooks[part.hooked :]
    tx.read_only = part.read_only
    journal.part = part.outer
    tx.doomed = None


def run_part(
    tx: Transaction, part: Part, fn: Callable[..., R], args: Any, kw: Any
) -> R:
    """Run `fn` as `part` of the running attempt `tx`, which has just begun."""
    try:
        value = fn(*args, **kw)
        end_part(tx, part)
    except BaseException:
        if part.open and tx.running and tx.journal is part.journal and not tx.doomed:
            tx.doomed = CUT_SHORT
            undo_part(tx, part)
        raise
    return value
