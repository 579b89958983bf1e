"""LongAdder and LongAccumulator: many write, few read.

Java spreads them over several cells, so that threads that add at once do not
meet. Here each commit takes the next number of one clock, so threads would
meet there all the same: one cell each is as fast, and smaller. What remains of
the idea, and pays, is that inside transactions they commute.
"""

from __future__ import annotations

from operator import add
from typing import TYPE_CHECKING, Generic, TypeVar

from atomos.stm import _solo
from atomos.stm._arguments import shown
from atomos.stm._cell import Cell, latest
from atomos.stm._fitness import refuse_uncallable
from atomos.stm._inside import inside
from atomos.stm._publish import publish
from atomos.stm._seat import seated
from atomos.stm._waited import WaitedFor

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LongAccumulator", "LongAdder"]

T = TypeVar("T")


def _merge(cell: Cell[T], fn: Callable[[T, T], T], x: T) -> None:
    """Set `cell` to ``fn(value, x)``; inside a transaction, when it commits."""
    if seated and (tx := inside()) is not None:
        tx.commute(cell, (fn, (x,), {}))
        return
    old = cell._newest
    if old.number > 0 and publish(cell, old, fn(old.value, x)):
        return
    _solo.update(cell, fn, (x,), {})


class LongAdder(WaitedFor[int]):
    """A sum that many transactions add to without making each other run again.

    Outside a transaction `add` is as `AtomicInteger.add_and_get`, and no
    faster: unlike Java's, it is one cell. Inside one it commutes: it is added
    to the newest sum when the transaction commits.

    Cost: to make one, O(1) and 144 bytes without the sum (CPython 3.11).

    Source: java.util.concurrent.atomic.LongAdder, whose sum overflows at 64
    bits; this one does not

    Example:
        >>> from atomos import dosync
        >>> from atomos.atomic import LongAdder
        >>> hits = LongAdder()
        >>> with dosync():
        ...     hits.add(2)
        ...     hits.increment()
        >>> hits
        LongAdder(3)
    """

    __slots__ = ()

    def __init__(self) -> None:
        """Start with 0."""
        super().__init__(0)

    def __repr__(self) -> str:
        """Show the latest committed sum."""
        return f"{type(self).__name__}({latest(self).value!r})"

    def __int__(self) -> int:
        return self.sum()

    def __float__(self) -> float:
        return float(self.sum())

    def add(self, x: int) -> None:
        """Add `x`.

        Raises:
            TypeError: `x` is not an int.
            ReadOnlyError: A read_only transaction is running.
            WouldDeadlockError: This thread itself holds it elsewhere.

        Cost: one commit; inside a transaction O(1) now, an addition or more at
        the commit.

        Source: java.util.concurrent.atomic.LongAdder.add

        Example:
            >>> from atomos.atomic import LongAdder
            >>> hits = LongAdder()
            >>> hits.add(2)
            >>> hits.sum()
            2
        """
        if not isinstance(x, int):
            msg = (
                f"LongAdder adds int only, not {type(x).__name__} {shown(x)}; nothing "
                "was changed"
            )
            raise TypeError(msg)
        _merge(self, add, x)

    def increment(self) -> None:
        """Add 1.

        Raises:
            ReadOnlyError: As `add`.
            WouldDeadlockError: As `add`.

        Cost: as `add`.

        Source: java.util.concurrent.atomic.LongAdder.increment

        Example:
            >>> from atomos.atomic import LongAdder
            >>> LongAdder().increment()
        """
        self.add(1)

    def decrement(self) -> None:
        """Subtract 1.

        Raises:
            ReadOnlyError: As `add`.
            WouldDeadlockError: As `add`.

        Cost: as `add`.

        Source: java.util.concurrent.atomic.LongAdder.decrement

        Example:
            >>> from atomos.atomic import LongAdder
            >>> LongAdder().decrement()
        """
        self.add(-1)

    def sum(self) -> int:
        """Return the sum.

        In a transaction this is an ordinary read, and what the transaction adds
        no longer commutes: it runs again if another one changes the sum.

        Cost: O(1), no lock.

        Source: java.util.concurrent.atomic.LongAdder.sum, which is exact only
        while nobody adds; this one always is

        Example:
            >>> from atomos.atomic import LongAdder
            >>> LongAdder().sum()
            0
        """
        return _solo.read(self)

    def reset(self) -> None:
        """Set the sum to 0.

        Raises:
            ReadOnlyError: A read_only transaction is running.
            WouldDeadlockError: This thread itself holds it elsewhere.

        Cost: one commit.

        Source: java.util.concurrent.atomic.LongAdder.reset

        Example:
            >>> from atomos.atomic import LongAdder
            >>> LongAdder().reset()
        """
        _solo.store(self, 0)

    def sum_then_reset(self) -> int:
        """Set the sum to 0, and return what it was. No addition is lost.

        Raises:
            ReadOnlyError: A read_only transaction is running.
            WouldDeadlockError: This thread itself holds it elsewhere.

        Cost: one commit.

        Source: java.util.concurrent.atomic.LongAdder.sumThenReset

        Example:
            >>> from atomos.atomic import LongAdder
            >>> hits = LongAdder()
            >>> hits.add(2)
            >>> hits.sum_then_reset(), hits.sum()
            (2, 0)
        """
        return _solo.exchange(self, 0)


class LongAccumulator(WaitedFor[T], Generic[T]):
    """A value that many transactions merge into, such as a maximum.

    As `LongAdder`, with a function of your own. Since Python has no least int,
    values may be of any type, such as ``-math.inf``.

    Raises:
        TypeError: `fn` is not callable.

    Cost: to make one, O(1) and 160 bytes without the value (CPython 3.11).

    Source: java.util.concurrent.atomic.LongAccumulator

    Example:
        >>> import math
        >>> from atomos.atomic import LongAccumulator
        >>> peak = LongAccumulator(max, -math.inf)
        >>> for load in (3, 8, 5):
        ...     peak.accumulate(load)
        >>> peak
        LongAccumulator(8)
    """

    __slots__ = ("_fn", "_identity")

    _fn: Callable[[T, T], T]
    _identity: T

    def __init__(self, fn: Callable[[T, T], T], identity: T) -> None:
        """Start with `identity`.

        Args:
            fn: Called with the value and what is accumulated, perhaps more than
                once. May use nothing but its arguments; the order in which
                values come should make no difference to it.
            identity: What `reset` goes back to: ``fn(identity, x)`` is ``x``.
        """
        refuse_uncallable(fn, "LongAccumulator")
        super().__init__(identity)
        self._fn = fn
        self._identity = identity

    def __repr__(self) -> str:
        """Show the latest committed value."""
        return f"{type(self).__name__}({latest(self).value!r})"

    def __int__(self) -> int:
        return int(self.get())  # type: ignore[call-overload, no-any-return] # or raises

    def __float__(self) -> float:
        return float(self.get())  # type: ignore[arg-type] # or raises

    def accumulate(self, x: T) -> None:
        """Set the value to ``fn(value, x)``.

        Raises:
            BaseException: What `fn` raises; nothing is changed.
            CommuteError: At the commit of a transaction: `fn` touched a ref, an atom or
                an atomic.
            ReadOnlyError: A read_only transaction is running.
            WouldDeadlockError: This thread itself holds it elsewhere.

        Cost: one call of `fn` and one commit, more if another thread is faster;
        inside a transaction O(1) now, one call of `fn` or more at the commit.

        Source: java.util.concurrent.atomic.LongAccumulator.accumulate

        Example:
            >>> from atomos.atomic import LongAccumulator
            >>> least = LongAccumulator(min, 9)
            >>> least.accumulate(4)
            >>> least.get()
            4
        """
        _merge(self, self._fn, x)

    def get(self) -> T:
        """Return the value; in a transaction an ordinary read, see `LongAdder.sum`.

        Cost: O(1), no lock.

        Source: java.util.concurrent.atomic.LongAccumulator.get

        Example:
            >>> from atomos.atomic import LongAccumulator
            >>> LongAccumulator(min, 9).get()
            9
        """
        return _solo.read(self)

    def reset(self) -> None:
        """Set the value to the identity.

        Raises:
            ReadOnlyError: A read_only transaction is running.
            WouldDeadlockError: This thread itself holds it elsewhere.

        Cost: one commit.

        Source: java.util.concurrent.atomic.LongAccumulator.reset

        Example:
            >>> from atomos.atomic import LongAccumulator
            >>> LongAccumulator(min, 9).reset()
        """
        _solo.store(self, self._identity)

    def get_then_reset(self) -> T:
        """Set the value to the identity, and return what it was.

        Raises:
            ReadOnlyError: A read_only transaction is running.
            WouldDeadlockError: This thread itself holds it elsewhere.

        Cost: one commit.

        Source: java.util.concurrent.atomic.LongAccumulator.getThenReset

        Example:
            >>> from atomos.atomic import LongAccumulator
            >>> LongAccumulator(min, 9).get_then_reset()
            9
        """
        return _solo.exchange(self, self._identity)
