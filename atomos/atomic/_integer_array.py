"""AtomicIntegerArray: each element is an AtomicInteger."""

from __future__ import annotations

from typing import TYPE_CHECKING

from atomos.atomic._array import AtomicReferenceArray
from atomos.atomic._numbers import AtomicInteger

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["AtomicIntegerArray"]


class AtomicIntegerArray(AtomicReferenceArray[int]):
    """A fixed number of ints, each of them atomic; see `AtomicReferenceArray`.

    Each method does to one element what the method of the same name does to an
    `AtomicInteger`.

    Raises:
        ValueError: The length is negative.
        TypeError: `length_or_values` is neither a length nor values, or a value is not
            an int.

    Cost: as `AtomicReferenceArray`.

    Source: java.util.concurrent.atomic.AtomicIntegerArray, whose values
    overflow at 32 bits; these do not

    Example:
        >>> from atomos.atomic import AtomicIntegerArray
        >>> votes = AtomicIntegerArray(3)
        >>> votes.increment_and_get(1)
        1
        >>> votes
        AtomicIntegerArray([0, 1, 0])
    """

    __slots__ = ()

    _cells: tuple[AtomicInteger, ...]

    def _cell(self, *value: int) -> AtomicInteger:
        return AtomicInteger(*value)

    if TYPE_CHECKING:

        def __init__(self, length_or_values: int | Iterable[int]) -> None: ...

        def _at(self, index: int) -> AtomicInteger: ...

    def add_and_get(self, index: int, delta: int) -> int:
        """Add `delta` to the element, and return the sum.

        Raises:
            IndexError: There is no such element.
            TypeError: The sum is not an int; nothing is changed.
            ReadOnlyError: A read_only transaction is running.
            WouldDeadlockError: This thread itself holds it elsewhere.

        Cost: as `AtomicInteger.add_and_get`.

        Source: java.util.concurrent.atomic.AtomicIntegerArray.addAndGet

        Example:
            >>> from atomos.atomic import AtomicIntegerArray
            >>> AtomicIntegerArray([5, 7]).add_and_get(1, 2)
            9
        """
        return self._at(index).add_and_get(delta)

    def get_and_add(self, index: int, delta: int) -> int:
        """Add `delta` to the element, and return the value before.

        Raises:
            IndexError: As `add_and_get`.
            TypeError: As `add_and_get`.
            ReadOnlyError: As `add_and_get`.
            WouldDeadlockError: As `add_and_get`.

        Cost: as `add_and_get`.

        Source: java.util.concurrent.atomic.AtomicIntegerArray.getAndAdd

        Example:
            >>> from atomos.atomic import AtomicIntegerArray
            >>> AtomicIntegerArray([5, 7]).get_and_add(1, 2)
            7
        """
        return self._at(index).get_and_add(delta)

    def increment_and_get(self, index: int) -> int:
        """Add 1 to the element, and return the sum.

        Raises:
            IndexError: As `add_and_get`.
            ReadOnlyError: As `add_and_get`.
            WouldDeadlockError: As `add_and_get`.

        Cost: as `add_and_get`.

        Source: java.util.concurrent.atomic.AtomicIntegerArray.incrementAndGet

        Example:
            >>> from atomos.atomic import AtomicIntegerArray
            >>> AtomicIntegerArray([5, 7]).increment_and_get(1)
            8
        """
        return self._at(index).increment_and_get()

    def get_and_increment(self, index: int) -> int:
        """Add 1 to the element, and return the value before.

        Raises:
            IndexError: As `add_and_get`.
            ReadOnlyError: As `add_and_get`.
            WouldDeadlockError: As `add_and_get`.

        Cost: as `add_and_get`.

        Source: java.util.concurrent.atomic.AtomicIntegerArray.getAndIncrement

        Example:
            >>> from atomos.atomic import AtomicIntegerArray
            >>> AtomicIntegerArray([5, 7]).get_and_increment(1)
            7
        """
        return self._at(index).get_and_increment()

    def decrement_and_get(self, index: int) -> int:
        """Subtract 1 from the element, and return the difference.

        Raises:
            IndexError: As `add_and_get`.
            ReadOnlyError: As `add_and_get`.
            WouldDeadlockError: As `add_and_get`.

        Cost: as `add_and_get`.

        Source: java.util.concurrent.atomic.AtomicIntegerArray.decrementAndGet

        Example:
            >>> from atomos.atomic import AtomicIntegerArray
            >>> AtomicIntegerArray([5, 7]).decrement_and_get(1)
            6
        """
        return self._at(index).decrement_and_get()

    def get_and_decrement(self, index: int) -> int:
        """Subtract 1 from the element, and return the value before.

        Raises:
            IndexError: As `add_and_get`.
            ReadOnlyError: As `add_and_get`.
            WouldDeadlockError: As `add_and_get`.

        Cost: as `add_and_get`.

        Source: java.util.concurrent.atomic.AtomicIntegerArray.getAndDecrement

        Example:
            >>> from atomos.atomic import AtomicIntegerArray
            >>> AtomicIntegerArray([5, 7]).get_and_decrement(1)
            7
        """
        return self._at(index).get_and_decrement()
