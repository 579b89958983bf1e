"""AtomicReferenceArray: each element is a cell of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar, overload

from atomos.atomic._reference import AtomicReference
from atomos.stm._cell import latest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["AtomicReferenceArray"]

T = TypeVar("T")
X = TypeVar("X")


class AtomicReferenceArray(Generic[T]):
    """A fixed number of values, each of them atomic.

    Two transactions conflict only if they use the same element. An index counts
    from 0; a negative one is refused, as in Java. Each method does to one
    element what the method of the same name does to an `AtomicReference`, at
    the same cost, with the same errors, and `IndexError` if there is no such
    element.

    Raises:
        ValueError: The length is negative.
        TypeError: `length_or_values` is neither a length nor values, or a value is of a
            type that the class does not hold.

    Cost: to make one, O(length) and 152 bytes for each element without its value
    (CPython 3.11).

    Source: java.util.concurrent.atomic.AtomicReferenceArray

    Example:
        >>> from atomos.atomic import AtomicReferenceArray
        >>> seats = AtomicReferenceArray([None, "ann"])
        >>> seats.compare_and_set(0, None, "bob")
        True
        >>> seats
        AtomicReferenceArray(['bob', 'ann'])
        >>> seats.get(-1)
        Traceback (most recent call last):
            ...
        IndexError: index -1 is not in AtomicReferenceArray of length 2 (0 to 1)
    """

    __slots__ = ("__weakref__", "_cells")

    _cells: tuple[AtomicReference[T], ...]

    @overload
    def __init__(
        self: AtomicReferenceArray[X | None], length_or_values: int
    ) -> None: ...

    @overload
    def __init__(self, length_or_values: Iterable[T]) -> None: ...

    def __init__(self, length_or_values: int | Iterable[T]) -> None:
        """Start with so many times None, or with a copy of the values given.

        Args:
            length_or_values: A number of elements, or their values.
        """
        if isinstance(length_or_values, int):
            if length_or_values < 0:
                msg = f"the length of an array must not be negative: {length_or_values}"
                raise ValueError(msg)
            self._cells = tuple(self._cell() for _ in range(length_or_values))
        else:
            self._cells = tuple(self._cell(value) for value in length_or_values)

    def _cell(self, *value: T) -> AtomicReference[T]:
        """Return a new element."""
        return AtomicReference(*value)  # type: ignore[return-value] # see __init__

    def _at(self, index: int) -> AtomicReference[T]:
        if index < 0 or index >= len(self._cells):
            name, length = type(self).__name__, len(self._cells)
            span = f"(0 to {length - 1})" if length else "(it is empty)"
            msg = f"index {index} is not in {name} of length {length} {span}"
            raise IndexError(msg)
        return self._cells[index]

    def __len__(self) -> int:
        return len(self._cells)

    def __repr__(self) -> str:
        """Show the latest committed values; not all of the same instant."""
        return f"{type(self).__name__}({[latest(c).value for c in self._cells]!r})"

    def length(self) -> int:
        """Return the number of elements, as does ``len()``.

        Cost: O(1).

        Source: java.util.concurrent.atomic.AtomicReferenceArray.length

        Example:
            >>> from atomos.atomic import AtomicReferenceArray
            >>> AtomicReferenceArray(3).length()
            3
        """
        return len(self._cells)

    def get(self, index: int) -> T:
        """Return the element.

        Raises:
            IndexError: There is no such element.

        Cost: O(1), no lock.

        Source: java.util.concurrent.atomic.AtomicReferenceArray.get

        Example:
            >>> from atomos.atomic import AtomicReferenceArray
            >>> AtomicReferenceArray("ab").get(1)
            'b'
        """
        return self._at(index).get()

    def wait_for(
        self,
        index: int,
        predicate: Callable[[T], object],
        timeout: float | None = None,
    ) -> T:
        """Wait until the element satisfies a predicate; return it.

        As `AtomicReference.wait_for`.

        Raises:
            IndexError: There is no such element.
            TypeError: As `AtomicReference.wait_for`.
            ValueError: As `AtomicReference.wait_for`.
            TransactionTimeout: As `AtomicReference.wait_for`.
            RetryError: As `AtomicReference.wait_for`.

        Cost: one read_only transaction for each look.

        Source: none in Java; as `AtomicReference.wait_for`

        Example:
            >>> from atomos.atomic import AtomicReferenceArray
            >>> AtomicReferenceArray("ab").wait_for(1, str.isalpha)
            'b'
        """
        return self._at(index).wait_for(predicate, timeout)

    def set(self, index: int, value: T) -> T:
        """Set the element, and return `value` (Java returns nothing).

        Raises:
            IndexError: There is no such element.
            TypeError: `value` is not of the type that this class holds.
            ReadOnlyError: A read_only transaction is running.
            WouldDeadlockError: This thread itself holds it elsewhere.

        Cost: one commit.

        Source: java.util.concurrent.atomic.AtomicReferenceArray.set

        Example:
            >>> from atomos.atomic import AtomicReferenceArray
            >>> AtomicReferenceArray("ab").set(1, "c")
            'c'
        """
        return self._at(index).set(value)

    def get_and_set(self, index: int, value: T) -> T:
        """Set the element, and return the value before.

        Raises:
            IndexError: There is no such element.
            TypeError: `value` is not of the type that this class holds.
            ReadOnlyError: A read_only transaction is running.
            WouldDeadlockError: This thread itself holds it elsewhere.

        Cost: one commit.

        Source: java.util.concurrent.atomic.AtomicReferenceArray.getAndSet

        Example:
            >>> from atomos.atomic import AtomicReferenceArray
            >>> AtomicReferenceArray("ab").get_and_set(1, "c")
            'b'
        """
        return self._at(index).get_and_set(value)

    def compare_and_set(self, index: int, expect: object, update: T) -> bool:
        """Set the element to `update` if it equals `expect` (``==``).

        Returns:
            Whether it was set.

        Raises:
            IndexError: There is no such element.
            TypeError: `update` is not of the type that this class holds.
            ReadOnlyError: A read_only transaction is running.
            WouldDeadlockError: This thread itself holds it elsewhere.

        Cost: as `AtomicReference.compare_and_set`.

        Source: java.util.concurrent.atomic.AtomicReferenceArray.compareAndSet,
        which compares by identity

        Example:
            >>> from atomos.atomic import AtomicReferenceArray
            >>> AtomicReferenceArray("ab").compare_and_set(1, "b", "c")
            True
        """
        return self._at(index).compare_and_set(expect, update)

    def compare_and_set_identity(self, index: int, expect: object, update: T) -> bool:
        """Set the element to `update` if it is the very object `expect` (``is``).

        Returns:
            Whether it was set.

        Raises:
            IndexError: There is no such element.
            TypeError: `update` is not of the type that this class holds.
            ReadOnlyError: A read_only transaction is running.
            WouldDeadlockError: This thread itself holds it elsewhere.

        Cost: one commit.

        Source: java.util.concurrent.atomic.AtomicReferenceArray.compareAndSet

        Example:
            >>> from atomos.atomic import AtomicReferenceArray
            >>> AtomicReferenceArray([[]]).compare_and_set_identity(0, [], None)
            False
        """
        return self._at(index).compare_and_set_identity(expect, update)

    def compare_and_exchange(self, index: int, expect: object, update: T) -> T:
        """Do as `compare_and_set`, and return the value found (the witness).

        Raises:
            IndexError: There is no such element.
            TypeError: `update` is not of the type that this class holds.
            ReadOnlyError: A read_only transaction is running.
            WouldDeadlockError: This thread itself holds it elsewhere.

        Cost: as `compare_and_set`.

        Source: java.util.concurrent.atomic.AtomicReferenceArray.compareAndExchange

        Example:
            >>> from atomos.atomic import AtomicReferenceArray
            >>> AtomicReferenceArray("ab").compare_and_exchange(1, "x", "c")
            'b'
        """
        return self._at(index).compare_and_exchange(expect, update)

    def update_and_get(self, index: int, fn: Callable[[T], T]) -> T:
        """Set the element to ``fn(value)``, and return that.

        Raises:
            IndexError: There is no such element.
            TypeError: `fn` is not callable, or what it returns is not of the type that
                this class holds.
            ReadOnlyError: A read_only transaction is running.
            WouldDeadlockError: This thread itself holds it elsewhere.

        Cost: as `AtomicReference.update_and_get`.

        Source: java.util.concurrent.atomic.AtomicReferenceArray.updateAndGet

        Example:
            >>> from atomos.atomic import AtomicReferenceArray
            >>> AtomicReferenceArray("ab").update_and_get(1, str.upper)
            'B'
        """
        return self._at(index).update_and_get(fn)

    def get_and_update(self, index: int, fn: Callable[[T], T]) -> T:
        """Do as `update_and_get`, but return the value before.

        Raises:
            IndexError: As `update_and_get`.
            TypeError: As `update_and_get`.
            ReadOnlyError: As `update_and_get`.
            WouldDeadlockError: As `update_and_get`.

        Cost: as `update_and_get`.

        Source: java.util.concurrent.atomic.AtomicReferenceArray.getAndUpdate

        Example:
            >>> from atomos.atomic import AtomicReferenceArray
            >>> AtomicReferenceArray("ab").get_and_update(1, str.upper)
            'b'
        """
        return self._at(index).get_and_update(fn)

    def accumulate_and_get(self, index: int, x: X, fn: Callable[[T, X], T]) -> T:
        """Set the element to ``fn(value, x)``, and return that.

        Raises:
            IndexError: As `update_and_get`.
            TypeError: As `update_and_get`.
            ReadOnlyError: As `update_and_get`.
            WouldDeadlockError: As `update_and_get`.

        Cost: as `update_and_get`.

        Source: java.util.concurrent.atomic.AtomicReferenceArray.accumulateAndGet

        Example:
            >>> from atomos.atomic import AtomicReferenceArray
            >>> AtomicReferenceArray("ab").accumulate_and_get(1, "c", max)
            'c'
        """
        return self._at(index).accumulate_and_get(x, fn)

    def get_and_accumulate(self, index: int, x: X, fn: Callable[[T, X], T]) -> T:
        """Do as `accumulate_and_get`, but return the value before.

        Raises:
            IndexError: As `update_and_get`.
            TypeError: As `update_and_get`.
            ReadOnlyError: As `update_and_get`.
            WouldDeadlockError: As `update_and_get`.

        Cost: as `update_and_get`.

        Source: java.util.concurrent.atomic.AtomicReferenceArray.getAndAccumulate

        Example:
            >>> from atomos.atomic import AtomicReferenceArray
            >>> AtomicReferenceArray("ab").get_and_accumulate(1, "c", max)
            'b'
        """
        return self._at(index).get_and_accumulate(x, fn)
