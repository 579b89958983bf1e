"""AtomicReference, and what all atomics of one value have in common."""

from __future__ import annotations

from _thread import get_ident
from operator import eq, is_
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, TypeVar, overload

from atomos.stm import _solo
from atomos.stm._arguments import shown
from atomos.stm._fitness import refuse_uncallable
from atomos.stm._seat import seated, seats
from atomos.stm._waited import WaitedFor

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["AtomicReference"]

T = TypeVar("T")
X = TypeVar("X")


class AtomicReference(WaitedFor[T]):
    """A value of any type that any thread may read and replace.

    Raises:
        TypeError: `value` is not of the type that the class holds; this one holds any.

    Cost: to make one, O(1) and 144 bytes without the value (CPython 3.11).

    Source: java.util.concurrent.atomic.AtomicReference

    Example:
        >>> from atomos.atomic import AtomicReference
        >>> leader = AtomicReference("ann")
        >>> leader.compare_and_set("ann", "bob")
        True
        >>> leader
        AtomicReference('bob')
    """

    __slots__ = ()

    #: Values of this type only. A subclass may narrow it.
    _kind: ClassVar[type] = object

    @overload
    def __init__(self: AtomicReference[X | None]) -> None: ...

    @overload
    def __init__(self, value: T) -> None: ...

    def __init__(
        self,
        value: T = None,  # type: ignore[assignment] # 0.3 allows it without a value
    ) -> None:
        """Start with `value`, which open snapshots see, too."""
        if not isinstance(value, self._kind):
            self._refuse(value)
        super().__init__(value)

    def __repr__(self) -> str:
        """Show the latest committed value."""
        return f"{type(self).__name__}({self._shown()})"

    def _refuse(self, value: object) -> NoReturn:
        msg = (
            f"{type(self).__name__} holds {self._kind.__name__} only, not "
            f"{type(value).__name__} {shown(value)}; nothing was changed"
        )
        raise TypeError(msg)

    def _fitting(self, fn: Callable[..., T], where: str) -> Callable[..., T]:
        """Return `fn`, made to raise if what it returns may not be stored."""
        if not callable(fn):
            refuse_uncallable(fn, where)
        kind = self._kind
        if kind is object:
            return fn

        def checked(value: T, *args: Any) -> T:
            after = fn(value, *args)
            if not isinstance(after, kind):
                self._refuse(after)
            return after

        return checked

    def get(self) -> T:
        """Return the value: in a transaction its own, else the latest.

        Cost: O(1), no lock.

        Source: java.util.concurrent.atomic.AtomicReference.get

        Example:
            >>> from atomos.atomic import AtomicReference
            >>> AtomicReference("a").get()
            'a'
        """
        version = self._newest
        if not seated and version.number:
            return version.value
        try:
            if seats[get_ident()].tx is None and version.number:
                return version.value
        except KeyError:
            pass
        return _solo.read(self)

    def set(self, value: T) -> T:
        """Set the value, and return it (Java returns nothing).

        Raises:
            TypeError: `value` is not of the type that this class holds.
            ReadOnlyError: A read_only transaction is running.
            WouldDeadlockError: This thread itself holds it elsewhere.

        Cost: one commit.

        Source: java.util.concurrent.atomic.AtomicReference.set

        Example:
            >>> from atomos.atomic import AtomicReference
            >>> AtomicReference("a").set("b")
            'b'
        """
        if not isinstance(value, self._kind):
            self._refuse(value)
        _solo.store(self, value)
        return value

    def get_and_set(self, value: T) -> T:
        """Set the value, and return the one before.

        Raises:
            TypeError: `value` is not of the type that this class holds.
            ReadOnlyError: A read_only transaction is running.
            WouldDeadlockError: This thread itself holds it elsewhere.

        Cost: one commit.

        Source: java.util.concurrent.atomic.AtomicReference.getAndSet

        Example:
            >>> from atomos.atomic import AtomicReference
            >>> AtomicReference("a").get_and_set("b")
            'a'
        """
        if not isinstance(value, self._kind):
            self._refuse(value)
        return _solo.exchange(self, value)

    def compare_and_set(self, expect: object, update: T) -> bool:
        """Set the value to `update` if it equals `expect` (``==``).

        Returns:
            Whether it was set.

        Raises:
            TypeError: `update` is not of the type that this class holds.
            ReadOnlyError: A read_only transaction is running.
            WouldDeadlockError: This thread itself holds it elsewhere.

        Cost: one comparison, outside of every lock, and one commit; more if
        another thread is faster.

        Source: java.util.concurrent.atomic.AtomicReference.compareAndSet, which
        compares by identity

        Example:
            >>> from atomos.atomic import AtomicReference
            >>> ref = AtomicReference("a")
            >>> ref.compare_and_set("a", "b"), ref.compare_and_set("a", "c")
            (True, False)
        """
        return self._compare(expect, update, eq)[0]

    def compare_and_set_identity(self, expect: object, update: T) -> bool:
        """Set the value to `update` if it is the very object `expect` (``is``).

        Small ints, short strings and other constants may or may not be one
        object each; for those use `compare_and_set`.

        Returns:
            Whether it was set.

        Raises:
            TypeError: `update` is not of the type that this class holds.
            ReadOnlyError: A read_only transaction is running.
            WouldDeadlockError: This thread itself holds it elsewhere.

        Cost: one commit.

        Source: java.util.concurrent.atomic.AtomicReference.compareAndSet

        Example:
            >>> from atomos.atomic import AtomicReference
            >>> mine, equal = [], []
            >>> ref = AtomicReference(mine)
            >>> ref.compare_and_set_identity(equal, None)
            False
            >>> ref.compare_and_set_identity(mine, None)
            True
        """
        return self._compare(expect, update, is_)[0]

    def compare_and_exchange(self, expect: object, update: T) -> T:
        """Do as `compare_and_set`, and return the value found (the witness).

        Returns:
            The value before. It equals `expect` if and only if it was replaced.

        Raises:
            TypeError: `update` is not of the type that this class holds.
            ReadOnlyError: A read_only transaction is running.
            WouldDeadlockError: This thread itself holds it elsewhere.

        Cost: as `compare_and_set`.

        Source: java.util.concurrent.atomic.AtomicReference.compareAndExchange

        Example:
            >>> from atomos.atomic import AtomicReference
            >>> ref = AtomicReference("a")
            >>> ref.compare_and_exchange("x", "b"), ref.get()
            ('a', 'a')
        """
        return self._compare(expect, update, eq)[1]

    def _compare(
        self, expect: object, update: T, same: Callable[[Any, Any], object]
    ) -> tuple[bool, T]:
        if not isinstance(update, self._kind):
            self._refuse(update)
        return _solo.compare_and_exchange(self, expect, update, same)

    def update_and_get(self, fn: Callable[[T], T]) -> T:
        """Set the value to ``fn(value)``, and return that.

        Args:
            fn: Runs outside of every lock, and again when another thread was
                faster, so it should have no effects.

        Raises:
            TypeError: `fn` is not callable, or what it returns is not of the
                type that this class holds; nothing is changed.
            ReadOnlyError: A read_only transaction is running.
            WouldDeadlockError: This thread itself holds it elsewhere.

        Cost: one call of `fn` and one commit; more if another thread is faster.

        Source: java.util.concurrent.atomic.AtomicReference.updateAndGet

        Example:
            >>> from atomos.atomic import AtomicReference
            >>> AtomicReference("a").update_and_get(str.upper)
            'A'
        """
        return _solo.update(self, self._fitting(fn, "update_and_get"), (), {})[1]

    def get_and_update(self, fn: Callable[[T], T]) -> T:
        """Do as `update_and_get`, but return the value before.

        Raises:
            TypeError: As `update_and_get`.
            ReadOnlyError: As `update_and_get`.
            WouldDeadlockError: As `update_and_get`.

        Cost: as `update_and_get`.

        Source: java.util.concurrent.atomic.AtomicReference.getAndUpdate

        Example:
            >>> from atomos.atomic import AtomicReference
            >>> AtomicReference("a").get_and_update(str.upper)
            'a'
        """
        return _solo.update(self, self._fitting(fn, "get_and_update"), (), {})[0]

    def accumulate_and_get(self, x: X, fn: Callable[[T, X], T]) -> T:
        """Set the value to ``fn(value, x)``, and return that.

        Args:
            x: The second argument of `fn`.
            fn: As in `update_and_get`.

        Raises:
            TypeError: As `update_and_get`.
            ReadOnlyError: As `update_and_get`.
            WouldDeadlockError: As `update_and_get`.

        Cost: as `update_and_get`.

        Source: java.util.concurrent.atomic.AtomicReference.accumulateAndGet

        Example:
            >>> from atomos.atomic import AtomicReference
            >>> AtomicReference("a").accumulate_and_get("b", max)
            'b'
        """
        return _solo.update(self, self._fitting(fn, "accumulate_and_get"), (x,), {})[1]

    def get_and_accumulate(self, x: X, fn: Callable[[T, X], T]) -> T:
        """Do as `accumulate_and_get`, but return the value before.

        Raises:
            TypeError: As `update_and_get`.
            ReadOnlyError: As `update_and_get`.
            WouldDeadlockError: As `update_and_get`.

        Cost: as `update_and_get`.

        Source: java.util.concurrent.atomic.AtomicReference.getAndAccumulate

        Example:
            >>> from atomos.atomic import AtomicReference
            >>> AtomicReference("a").get_and_accumulate("b", max)
            'a'
        """
        return _solo.update(self, self._fitting(fn, "get_and_accumulate"), (x,), {})[0]
