"""AtomicNumber: what all atomics that count have in common."""

from __future__ import annotations

from _thread import get_ident
from numbers import Number
from typing import TYPE_CHECKING, ClassVar, TypeVar

from atomos.atomic._reference import AtomicReference
from atomos.stm import _solo
from atomos.stm._arguments import NOT_GIVEN
from atomos.stm._cell import Cell, Version
from atomos.stm._inside import inside
from atomos.stm._publish import publish
from atomos.stm._seat import seated, seats
from atomos.stm._turn import FREE, clock, release

__all__ = ["AtomicNumber"]

if TYPE_CHECKING:
    from typing import Any, Protocol

    class _Summand(Protocol):
        """A number of any type: `numbers.Number` says nothing to a type checker."""

        def __add__(self, other: Any, /) -> Any: ...
        def __neg__(self) -> Any: ...


# A type checker cannot know that 1 passes for N, and `cast` would be a call.
N = TypeVar("N", bound="_Summand")


class AtomicNumber(AtomicReference[N]):
    """A number that any thread may read and change. Base of the others.

    Itself it holds numbers of any type, such as `fractions.Fraction`.

    Raises:
        TypeError: `value` is not a number.

    Cost: to make one, O(1) and 144 bytes without the value (CPython 3.11).

    Example:
        >>> from atomos.atomic import AtomicInteger, AtomicNumber
        >>> isinstance(AtomicInteger(3), AtomicNumber)
        True
    """

    __slots__ = ()
    _kind: ClassVar[type] = Number

    def __init__(self, value: N = NOT_GIVEN) -> None:
        """Start with `value`; without one with None, until a number is set."""
        if value is NOT_GIVEN:
            value = None  # type: ignore[assignment] # as in 0.3
        elif not isinstance(value, self._kind):
            self._refuse(value)
        Cell.__init__(self, value)  # one call less than with `super`

    def __int__(self) -> int:
        return int(self.get())  # type: ignore[call-overload, no-any-return] # or raises

    def __float__(self) -> float:
        return float(self.get())  # type: ignore[arg-type] # or raises

    def add_and_get(self, delta: N) -> N:
        """Add `delta`, and return the sum. Ints do not overflow.

        Raises:
            TypeError: The sum is not of the type that this class holds; nothing
                is changed.
            ReadOnlyError: A read_only transaction is running.
            WouldDeadlockError: This thread itself holds it elsewhere.

        Cost: one commit; repeated if another thread is faster.

        Source: java.util.concurrent.atomic.AtomicInteger.addAndGet

        Example:
            >>> from atomos.atomic import AtomicInteger
            >>> AtomicInteger(3).add_and_get(2)
            5
        """
        if seated:
            try:
                inside_of_none = seats[get_ident()].tx is None
            except KeyError:
                inside_of_none = False
            if not inside_of_none:
                return self._add(delta)[1]
        old = self._newest
        seen = old.number
        if seen == 0:
            return self._add(delta)[1]
        before = old.value
        value: N = before + delta
        if type(value) is not type(before):
            return self._add(delta)[1]
        # As `publish` where nothing is in the way, without its call.
        new: Version[N] = Version()
        new.value = value
        c = clock
        for number in c.steps:
            if number != c.done + 1:
                c.skipped[number] = None
                break
            try:
                if (
                    self._newest is old
                    and self._holder is None
                    and self._sleepers is None
                    and seen >= c.fresh
                    and not c.observed
                    and old.older is None
                ):
                    c.now = number
                    new.number = number
                    # Again: who opens a snapshot sets it before he looks at `now`.
                    new.older = old if c.observed else None  # type: ignore[redundant-expr] # others set it
                    self._newest = new  # the commit point
                    return value
            finally:
                c.done = number
                if FREE:
                    release()
            break
        return self._add(delta)[1]

    def _add(self, delta: N) -> tuple[N, N]:
        """Add `delta` in any case; return the values before and after."""
        if not seated or inside() is None:
            old = self._newest
            if old.number > 0:
                before = old.value
                value: N = before + delta
                if type(value) is type(before) and publish(self, old, value):
                    return before, value
        return _solo.update(self, self._plus, (delta,), {})

    def _plus(self, value: N, delta: N) -> N:
        after: N = value + delta
        if not isinstance(after, self._kind):
            self._refuse(after)
        return after

    def get_and_add(self, delta: N) -> N:
        """Add `delta`, and return the value before.

        Raises:
            TypeError: As `add_and_get`.
            ReadOnlyError: As `add_and_get`.
            WouldDeadlockError: As `add_and_get`.

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
            ReadOnlyError: As `add_and_get`.
            WouldDeadlockError: As `add_and_get`.

        Cost: as `add_and_get`.

        Example:
            >>> from atomos.atomic import AtomicInteger
            >>> AtomicInteger(3).subtract_and_get(2)
            1
        """
        return self.add_and_get(-delta)

    def get_and_subtract(self, delta: N) -> N:
        """Subtract `delta`, and return the value before.

        Raises:
            TypeError: As `add_and_get`.
            ReadOnlyError: As `add_and_get`.
            WouldDeadlockError: As `add_and_get`.

        Cost: as `add_and_get`.

        Example:
            >>> from atomos.atomic import AtomicInteger
            >>> AtomicInteger(3).get_and_subtract(2)
            3
        """
        return self._add(-delta)[0]

    def increment_and_get(self) -> N:
        """Add 1, and return the sum.

        Raises:
            TypeError: There is no number yet.
            ReadOnlyError: As `add_and_get`.
            WouldDeadlockError: As `add_and_get`.

        Cost: as `add_and_get`.

        Source: java.util.concurrent.atomic.AtomicInteger.incrementAndGet

        Example:
            >>> from atomos.atomic import AtomicInteger
            >>> AtomicInteger(3).increment_and_get()
            4
        """
        return self.add_and_get(1)  # type: ignore[arg-type] # see N

    def get_and_increment(self) -> N:
        """Add 1, and return the value before.

        Raises:
            TypeError: There is no number yet.
            ReadOnlyError: As `add_and_get`.
            WouldDeadlockError: As `add_and_get`.

        Cost: as `add_and_get`.

        Source: java.util.concurrent.atomic.AtomicInteger.getAndIncrement

        Example:
            >>> from atomos.atomic import AtomicInteger
            >>> AtomicInteger(3).get_and_increment()
            3
        """
        return self._add(1)[0]  # type: ignore[arg-type] # see N

    def decrement_and_get(self) -> N:
        """Subtract 1, and return the difference.

        Raises:
            TypeError: There is no number yet.
            ReadOnlyError: As `add_and_get`.
            WouldDeadlockError: As `add_and_get`.

        Cost: as `add_and_get`.

        Source: java.util.concurrent.atomic.AtomicInteger.decrementAndGet

        Example:
            >>> from atomos.atomic import AtomicInteger
            >>> AtomicInteger(3).decrement_and_get()
            2
        """
        return self.add_and_get(-1)  # type: ignore[arg-type] # see N

    def get_and_decrement(self) -> N:
        """Subtract 1, and return the value before.

        Raises:
            TypeError: There is no number yet.
            ReadOnlyError: As `add_and_get`.
            WouldDeadlockError: As `add_and_get`.

        Cost: as `add_and_get`.

        Source: java.util.concurrent.atomic.AtomicInteger.getAndDecrement

        Example:
            >>> from atomos.atomic import AtomicInteger
            >>> AtomicInteger(3).get_and_decrement()
            3
        """
        return self._add(-1)[0]  # type: ignore[arg-type] # see N
