"""Waiting for what a transaction has read: `retry`, and `check`, made of it."""

from __future__ import annotations

from typing import NoReturn

from atomos.errors import NoTransactionError, RetryError, TransactionStateError
from atomos.stm._footprint import WAITS, Restart
from atomos.stm._inside import inside

__all__ = ["check", "retry"]


def retry() -> NoReturn:
    """Give this attempt up, sleep until something it has read changes, run again.

    What the attempt has written is undone, and what it holds is let go before it
    sleeps. A sleeping thread uses no processor. `timeout` bounds the sleep; Ctrl-C
    ends it. Having waited does not count as a lost attempt.

    Inside of `or_else` the next alternative runs instead.

    Raises:
        RetryError: Nothing was read, so nothing could end the sleep; or it is a
            plain block, which cannot be run again.
        NoTransactionError: No transaction is running.

    Cost: O(what was read).

    Source: Harris, Marlow, Peyton Jones and Herlihy, "Composable memory
        transactions", 2005.

    Example:
        >>> from atomos import Ref, dosync, retry
        >>> from atomos.errors import TransactionTimeout
        >>> mail = Ref(())
        >>> @dosync(timeout=0.01)
        ... def read_mail():
        ...     if not mail.deref():
        ...         retry()
        ...     return mail.deref()[0]
        >>> try:
        ...     read_mail()
        ... except TransactionTimeout:
        ...     print("no mail")
        no mail
    """
    tx = inside()
    if tx is None:
        msg = (
            "retry() or check() was called outside a transaction: put it into a "
            "function with @dosync, or use wait_for()"
        )
        raise NoTransactionError(msg)
    if tx.doomed is not None:
        if not tx.rerunnable and tx.doomed != WAITS:
            msg = f"{tx.label} cannot wait, nor commit: {tx.doomed}"
            raise TransactionStateError(msg)
        raise Restart(tx.doomed)
    awaited = tx.reads()
    if tx.journal is None or not tx.journal.in_alternative():
        if not awaited:
            msg = (
                f"retry() or check() was called in {tx.label} before it has read "
                "anything, so nothing could wake it: read what it waits for first"
            )
            raise RetryError(msg)
        if not tx.rerunnable:
            msg = (
                f"retry() or check() was called in {tx.label}, which cannot be run "
                "again: use @dosync, or `for tx in dosync()`"
            )
            raise RetryError(msg)
    tx.awaited = awaited
    tx.doomed = WAITS
    raise Restart(WAITS)


def check(condition: object) -> None:
    """Go on if `condition` is true, else `retry`.

    Args:
        condition: Anything; its truth counts.

    Raises:
        RetryError: As `retry`.
        NoTransactionError: It is false, and no transaction is running.

    Cost: one test if it is true.

    Source: check of Haskell's Control.Concurrent.STM

    Example:
        >>> from atomos import Ref, check, dosync
        >>> seats = Ref(2)
        >>> @dosync
        ... def take_seat():
        ...     check(seats.deref() > 0)
        ...     return seats.alter(lambda n: n - 1)
        >>> take_seat()
        1
    """
    if not condition:
        retry()
