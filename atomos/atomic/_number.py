"""Atomics that count: AtomicInteger, AtomicLong, AtomicFloat."""

from __future__ import annotations

from numbers import Number
from typing import ClassVar, TypeVar, cast

from atomos.atomic._reference import AtomicReference
from atomos.stm import _solo
from atomos.stm._cell import Version
from atomos.stm._clock import clock
from atomos.stm._history import trim_or_leave
from atomos.stm._owner import current
from atomos.stm._registry import open_points
from atomos.stm._status import NOBODY

__all__ = ["AtomicFloat", "AtomicInteger", "AtomicLong", "AtomicNumber"]

N = TypeVar("N", bound=float)  # int passes for float
_current = current.get
_lock = clock.lock


class AtomicNumber(AtomicReference[N]):
    """A number that any thread may read and change. Base of the ones below.

    Itself it holds numbers of any type, such as `fractions.Fraction`.

    Example:
        >>> from atomos.atomic import AtomicInteger, AtomicNumber
        >>> isinstance(AtomicInteger(3), AtomicNumber)
        True
    """

    __slots__ = ()
    _kind: ClassVar[type] = Number

    def __int__(self) -> int:
        return int(self.get())

    def __float__(self) -> float:
        return float(self.get())

    def add_and_get(self, delta: N) -> N:
        """Add `delta`, and return the sum. Ints do not overflow.

        Raises:
            TypeError: The sum is not of the type that this class holds; nothing
                is changed.

        Cost: one lock; repeated if another thread is faster.

        Source: java.util.concurrent.atomic.AtomicInteger.addAndGet

        Example:
            >>> from atomos.atomic import AtomicInteger
            >>> AtomicInteger(3).add_and_get(2)
            5
        """
        if _current() is None:
            old = self._newest
            seen = old.number
            if seen > 0:
                before = old.value
                value = cast("N", before + delta)
                if type(value) is type(before):
                    # As `_solo.publish`, where nothing is in the way, without a
                    # call: it would cost a tenth of the whole.
                    new: Version[N] = Version()
                    new.value = value
                    new.number = 0
                    new.older = old
                    new.owner = NOBODY
                    with _lock:
                        c = clock
                        if (
                            self._newest is old
                            and self._holder is None
                            and seen >= c.fresh
                            and not c.observed
                            and c.pending is None
                            and old.older is None
                            and self._history is None
                        ):
                            number = c.now + 1
                            self._newest = new
                            c.pending = new
                            new.number = number  # the commit point
                            c.now = number
                            c.pending = None
                            if not c.observed:
                                new.older = None
                                return value
                    if new.number:
                        # A snapshot was opened in between: it may need `old`.
                        trim_or_leave(self, new, open_points())
                        return value
        return self._add(delta)[1]

    def _add(self, delta: N) -> tuple[N, N]:
        """Add `delta` in any case; return the values before and after."""
        return _solo.update(self, self._plus, (delta,), {})

    def _plus(self, value: N, delta: N) -> N:
        after = value + delta
        if not isinstance(after, self._kind):
            self._refuse(after)
        return cast("N", after)

    def get_and_add(self, delta: N) -> N:
        """Add `delta`, and return the value before.

        Raises:
            TypeError: As `add_and_get`.

        Cost: as `add_and_get`.

        Source: java.util.concurrent.atomic.AtomicInteger.getAndAdd

        Example:
            >>> from atomos.atomic import AtomicInteger
            >>> AtomicInteger(3).get_and_add(2)
            3
        """
        return self._add(delta)[0]

    def subtract_and_get(self, delta: N) -> N:
        """Subtract `delta`, and return the difference.

        Raises:
            TypeError: As `add_and_get`.

        Cost: as `add_and_get`.

        Example:
            >>> from atomos.atomic import AtomicInteger
            >>> AtomicInteger(3).subtract_and_get(2)
            1
        """
        return self.add_and_get(cast("N", -delta))

    def get_and_subtract(self, delta: N) -> N:
        """Subtract `delta`, and return the value before.

        Raises:
            TypeError: As `add_and_get`.

        Cost: as `add_and_get`.

        Example:
            >>> from atomos.atomic import AtomicInteger
            >>> AtomicInteger(3).get_and_subtract(2)
            3
        """
        return self._add(cast("N", -delta))[0]

    def increment_and_get(self) -> N:
        """Add 1, and return the sum.

        Cost: as `add_and_get`.

        Source: java.util.concurrent.atomic.AtomicInteger.incrementAndGet

        Example:
            >>> from atomos.atomic import AtomicInteger
            >>> AtomicInteger(3).increment_and_get()
            4
        """
        return self.add_and_get(cast("N", 1))

    def get_and_increment(self) -> N:
        """Add 1, and return the value before.

        Cost: as `add_and_get`.

        Source: java.util.concurrent.atomic.AtomicInteger.getAndIncrement

        Example:
            >>> from atomos.atomic import AtomicInteger
            >>> AtomicInteger(3).get_and_increment()
            3
        """
        return self._add(cast("N", 1))[0]

    def decrement_and_get(self) -> N:
        """Subtract 1, and return the difference.

        Cost: as `add_and_get`.

        Source: java.util.concurrent.atomic.AtomicInteger.decrementAndGet

        Example:
            >>> from atomos.atomic import AtomicInteger
            >>> AtomicInteger(3).decrement_and_get()
            2
        """
        return self.add_and_get(cast("N", -1))

    def get_and_decrement(self) -> N:
        """Subtract 1, and return the value before.

        Cost: as `add_and_get`.

        Source: java.util.concurrent.atomic.AtomicInteger.getAndDecrement

        Example:
            >>> from atomos.atomic import AtomicInteger
            >>> AtomicInteger(3).get_and_decrement()
            3
        """
        return self._add(cast("N", -1))[0]


class AtomicInteger(AtomicNumber[int]):
    """A whole number of any size. Holds ints, and bools since they are ints.

    Source: java.util.concurrent.atomic.AtomicInteger, whose values overflow at
    32 bits; these do not

    Example:
        >>> from atomos.atomic import AtomicInteger
        >>> visits = AtomicInteger()
        >>> visits.increment_and_get()
        1
        >>> visits.add_and_get(1.5)
        Traceback (most recent call last):
            ...
        TypeError: AtomicInteger holds int only, not float 2.5; nothing was changed
    """

    __slots__ = ()
    _kind = int

    def __init__(self, value: int = 0) -> None:
        """Start with `value`.

        Raises:
            TypeError: `value` is not an int.

        Cost: O(1).
        """
        super().__init__(value)


class AtomicLong(AtomicNumber[int]):
    """A whole number of any size, the same as `AtomicInteger` in all but name.

    Source: java.util.concurrent.atomic.AtomicLong, whose values overflow at 64
    bits; these do not

    Example:
        >>> from atomos.atomic import AtomicLong
        >>> AtomicLong(2**63 - 1).increment_and_get()
        9223372036854775808
    """

    __slots__ = ()
    _kind = int

    def __init__(self, value: int = 0) -> None:
        """Start with `value`.

        Raises:
            TypeError: `value` is not an int.

        Cost: O(1).
        """
        super().__init__(value)


class AtomicFloat(AtomicNumber[float]):
    """A floating point number. Holds floats only; an int may be added to it.

    Example:
        >>> from atomos.atomic import AtomicFloat
        >>> total = AtomicFloat(0.5)
        >>> total.add_and_get(1)
        1.5
        >>> total.set(2)
        Traceback (most recent call last):
            ...
        TypeError: AtomicFloat holds float only, not int 2; nothing was changed
    """

    __slots__ = ()
    _kind = float

    def __init__(self, value: float = 0.0) -> None:
        """Start with `value`.

        Raises:
            TypeError: `value` is not a float.

        Cost: O(1).
        """
        super().__init__(value)
