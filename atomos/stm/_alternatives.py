"""Alternatives: the first one that does not wait."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from atomos.stm._fitness import refuse_unfit
from atomos.stm._footprint import CUT_SHORT, WAITS, Restart
from atomos.stm._inside import inside
from atomos.stm._part import begin_part, end_part, undo_part
from atomos.stm._retry import retry
from atomos.stm._run import DEFAULT
from atomos.stm._runner import transactional

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["or_else"]

R = TypeVar("R")


def or_else(
    first: Callable[[], R], second: Callable[[], R], /, *more: Callable[[], R]
) -> R:
    """Run the first alternative that does not call `retry`.

    What an abandoned one has written, commuted, sent and registered is undone. If all
    of them call `retry`, the transaction sleeps until something changes that any of
    them has read. What an abandoned one has read still counts: it is the reason why
    the next one ran.

    Outside of a transaction it is one. In a plain block it works, too; only if all
    alternatives call `retry`, that raises.

    Args:
        first: Called without arguments.
        second: Runs if `first` calls `retry`.
        *more: And so on.

    Returns:
        What the alternative returns.

    Raises:
        TypeError: One of them is not callable, or makes a generator or a coroutine.
        RetryError: All of them called `retry`, in a plain block.
        BaseException: What an alternative raises; it is undone.

    Cost: O(1) for each alternative, and O(what it has written) to undo it.

    Source: Harris, Marlow, Peyton Jones and Herlihy, "Composable memory
        transactions", 2005.

    Example:
        >>> from atomos import Ref, check, dosync, or_else
        >>> urgent, normal = Ref(()), Ref(("letter",))
        >>> def first_of(items):
        ...     check(items.deref())
        ...     return items.deref()[0]
        >>> or_else(lambda: first_of(urgent), lambda: first_of(normal))
        'letter'
    """
    alternatives = (first, second, *more)
    for alternative in alternatives:
        refuse_unfit(alternative, "or_else")
    tx = inside()
    if tx is None:
        return transactional(DEFAULT, "or_else", _choose)(alternatives)
    return _choose(alternatives)


def _choose(alternatives: tuple[Callable[[], R], ...]) -> R:
    """Run the first of `alternatives` that does not call `retry`."""
    tx = inside()
    assert tx is not None
    if tx.doomed == WAITS:
        raise Restart(WAITS)
    for alternative in alternatives:
        part = begin_part(tx, tx.read_only, choice=True)
        try:
            value = alternative()
            if tx.doomed == WAITS:
                raise Restart(WAITS)  # it has swallowed the signal
            end_part(tx, part)
        except BaseException as error:
            waits = tx.doomed == WAITS and isinstance(error, (Exception, Restart))
            here = part.open and tx.running and tx.journal is part.journal
            if here and (waits or tx.doomed is None):
                tx.doomed = CUT_SHORT
                tx.awaited = None
                undo_part(tx, part)
            if not (here and waits):
                raise
        else:
            return value
    retry()
