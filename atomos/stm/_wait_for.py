"""Waiting until one value satisfies a predicate."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from atomos.stm._fitness import refuse_uncallable
from atomos.stm._retry import check
from atomos.stm._run import make_options
from atomos.stm._runner import transactional

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["wait_for"]

T = TypeVar("T")


def wait_for(
    read: Callable[[], T],
    predicate: Callable[[T], object],
    timeout: float | None,
    label: str,
) -> T:
    """Return what `read` returns, once that satisfies `predicate`.

    Args:
        read: Reads cells.
        predicate: Called with what it has returned, in a read_only transaction.
        timeout: Seconds; None for no limit.
        label: What messages call the waiting.

    Raises:
        TypeError: `predicate` is not callable.
        TransactionTimeout: The time is over.
    """
    refuse_uncallable(predicate, "wait_for")

    def waiting() -> T:
        value = read()
        check(predicate(value))
        return value

    return transactional(make_options(None, True, timeout, None, None), label, waiting)()
