"""Waiting until a cell has a value that satisfies a predicate."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from atomos.stm import _solo
from atomos.stm._cell import Cell
from atomos.stm._fitness import refuse_uncallable
from atomos.stm._retry import check
from atomos.stm._run import make_options
from atomos.stm._runner import transactional

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["WaitedFor"]

T = TypeVar("T")


class WaitedFor(Cell[T]):
    """A cell that threads can wait for. Base of `ARef` and the atomics."""

    __slots__ = ()

    def wait_for(
        self, predicate: Callable[[T], object], timeout: float | None = None
    ) -> T:
        """Wait until the value satisfies a predicate; return it.

        The thread sleeps, and looks again after each change. Inside a transaction
        this is `check`: the transaction is run again.

        Args:
            predicate: Called with the value, in a read_only transaction. So it may
                read others, whose changes are then waited for, too.
            timeout: Seconds; None for no limit.

        Raises:
            TypeError: `predicate` is not callable.
            ValueError: `timeout` is no number of seconds.
            TransactionTimeout: The time is over.
            RetryError: In a plain block, which cannot be run again.

        Cost: one read_only transaction for each look.

        Source: none in java.util.concurrent.atomic; the STM of Haskell and Scala

        Example:
            >>> from atomos import Atom
            >>> Atom(7).wait_for(lambda n: n > 5)
            7
        """
        refuse_uncallable(predicate, "wait_for")
        options = make_options(None, True, timeout, None, None)

        def wait() -> T:
            value = _solo.read(self)
            check(predicate(value))
            return value

        return transactional(options, f"{self._label()}.wait_for()", wait)()
