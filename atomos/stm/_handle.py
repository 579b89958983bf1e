"""The handle of a running transaction: hooks, and the number of the attempt.

A hook belongs to the attempt that has registered it: one that is made anew begins
without any.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from atomos.errors import TransactionStateError
from atomos.stm._fitness import refuse_uncallable
from atomos.stm._footprint import Restart
from atomos.stm._inside import inside
from atomos.stm._journal import AFTER_COMMIT, AFTER_ROLLBACK, BEFORE_COMMIT
from atomos.stm._part import journal_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from atomos.stm._transaction import Transaction

__all__ = ["Handle", "current_transaction", "run_before_commit"]


class Handle:
    """The running transaction, as its body may use it.

    Attributes:
        _tx: The transaction; None while there is none yet.
        _number: The number of the attempt.
        _view: The view of that attempt, which tells it from all others: `_tx` may
            be run again, and also for another function. None when it is over.
    """

    __slots__ = ("_number", "_tx", "_view")

    _tx: Transaction | None
    _number: int
    _view: object

    @property
    def attempt(self) -> int:
        """The number of this attempt, from 1 on.

        Raises:
            TransactionStateError: The transaction is not running.

        Example:
            >>> from atomos import dosync
            >>> for tx in dosync():
            ...     with tx:
            ...         print(tx.attempt)
            1
        """
        tx = self._tx
        if tx is None or tx.view is not self._view or not tx.running:
            raise self._over("tx.attempt")
        return self._number

    def before_commit(self, fn: Callable[[], object], /) -> None:
        """Call `fn` at the end of the transaction, still inside of it.

        It may read, write, and register more. Such functions run in the order in
        which they were registered. An exception ends the transaction, as one of the
        body does. One registered in an inner transaction runs at the end of the
        outermost one, and goes when the inner one is undone.

        Args:
            fn: Called without arguments.

        Raises:
            TypeError: `fn` is not callable.
            TransactionStateError: The transaction is not running here.

        Cost: O(1) now.

        Example:
            >>> from atomos import Ref, dosync
            >>> stock, low = Ref(10), Ref(False)
            >>> with dosync() as tx:
            ...     tx.before_commit(lambda: low.set(stock.deref() < 5))
            ...     _ = stock.set(3)
            >>> low
            Ref(True)
        """
        self._register(BEFORE_COMMIT, fn)

    def after_commit(self, fn: Callable[[], object], /) -> None:
        """Call `fn` once the transaction has committed, outside of it.

        It runs in the same thread after the watches, and is dropped with an attempt
        that is run again. Such functions run in the order in which they were
        registered. An `Exception` is reported through `logging` and stops nothing.

        Args:
            fn: Called without arguments.

        Raises:
            TypeError: `fn` is not callable.
            TransactionStateError: The transaction is not running here.

        Cost: O(1) now.

        Example:
            >>> from atomos import Ref, atomically, current_transaction
            >>> balance = Ref(100)
            >>> def pay():
            ...     left = balance.alter(lambda n: n - 30)
            ...     current_transaction().after_commit(lambda: print("left:", left))
            >>> atomically(pay)
            left: 70
        """
        self._register(AFTER_COMMIT, fn)

    def after_rollback(self, fn: Callable[[], object], /) -> None:
        """Call `fn` when the transaction has ended without a commit, outside of it.

        That is when an exception leaves it, also a timeout; not when an attempt is
        lost and made again. An `Exception` is reported through `logging`.

        Args:
            fn: Called without arguments.

        Raises:
            TypeError: `fn` is not callable.
            TransactionStateError: The transaction is not running here.

        Cost: O(1) now.

        Example:
            >>> from atomos import dosync
            >>> try:
            ...     with dosync() as tx:
            ...         tx.after_rollback(lambda: print("nothing was written"))
            ...         raise ValueError
            ... except ValueError:
            ...     pass
            nothing was written
        """
        self._register(AFTER_ROLLBACK, fn)

    def _register(self, when: str, fn: Callable[[], object]) -> None:
        refuse_uncallable(fn, when)
        tx = self._tx
        if tx is None or tx.view is not self._view or inside() is not tx:
            raise self._over(f"{when}()")
        journal_of(tx).hooks.append((when, fn))

    def _over(self, used: str) -> TransactionStateError:
        msg = (
            f"{used} was used outside of its block or transaction, or in another "
            "thread or task: use it inside, while it runs"
        )
        return TransactionStateError(msg)


def current_transaction() -> Handle | None:
    """Return a handle of the transaction that the caller is inside of.

    Returns:
        None outside of one.

    Raises:
        CommuteError: The caller is a function given to `commute`.

    Cost: O(1).

    Example:
        >>> from atomos import current_transaction, dosync
        >>> current_transaction() is None
        True
        >>> with dosync():
        ...     current_transaction().attempt
        1
    """
    tx = inside()
    if tx is None:
        return None
    handle = Handle()
    handle._tx = tx
    handle._number = tx.attempts
    handle._view = tx.view
    return handle


def run_before_commit(tx: Transaction) -> None:
    """Run the hooks that run before the commit, inside; they may register more.

    Raises:
        Restart: The attempt is lost, whatever the hook made of that.
        BaseException: What a hook raises.
    """
    journal = tx.journal
    assert journal is not None
    try:
        for when, fn in journal.hooks:
            if when == BEFORE_COMMIT and tx.doomed is None:
                fn()
    except Exception:
        if tx.doomed is None or not tx.rerunnable:
            raise
        raise Restart(tx.doomed) from None
