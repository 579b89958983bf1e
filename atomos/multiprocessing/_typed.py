"""Atomics whose values may have to pass through a type of `ctypes`."""

from __future__ import annotations

import ctypes
from multiprocessing.sharedctypes import typecode_to_type  # type: ignore[attr-defined] # not in typeshed
from typing import TYPE_CHECKING, Any, TypeVar

from atomos import atomic
from atomos.multiprocessing._cells import Shared
from atomos.stm._arguments import shown

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["AtomicCtypesReference", "Typed", "type_of"]

T = TypeVar("T")


class Typed(atomic.AtomicReference[T], Shared[T]):
    """An atomic whose values may have to pass through a type of `ctypes`.

    Attributes:
        _type: That type; None for none.
    """

    __slots__ = ("_type",)

    _type: Any

    def _details(self) -> tuple[Any, ...]:
        return (self._type,)

    @classmethod
    def _plain_details(cls) -> tuple[Any, ...]:
        return (None,)

    def _arrive(self, name: str | None, *details: Any) -> None:
        (self._type,) = details

    def _made_of(self, value: T) -> T:
        """Return what the type makes of `value`."""
        if self._type is None:
            return value
        try:
            made: T = self._type(value).value
            return made
        except TypeError as error:
            msg = (
                f"{type(self).__name__} holds {self._type.__name__} only, not "
                f"{type(value).__name__} {shown(value)}; nothing was changed"
            )
            raise TypeError(msg) from error

    def _fitting(self, fn: Callable[..., T], where: str) -> Callable[..., T]:
        fits = super()._fitting(fn, where)
        if self._type is None:
            return fits
        return lambda *args: self._made_of(fits(*args))

    def set(self, value: T) -> T:
        """Set the value, and return it as it is stored.

        Raises:
            TypeError: The class does not hold such values.
            ReadOnlyError: A read_only transaction is running.
            WouldDeadlockError: This thread itself holds it elsewhere.
            SpaceError: The space is closed or full, or cannot be used.

        Cost: one commit.

        Source: java.util.concurrent.atomic.AtomicReference.set

        Example:
            >>> import ctypes
            >>> from atomos.multiprocessing.atomic import AtomicCtypesReference
            >>> AtomicCtypesReference(ctypes.c_ubyte, 1).set(258)
            2
        """
        return super().set(self._made_of(value))

    def get_and_set(self, value: T) -> T:
        """Set the value, and return the one before.

        Raises:
            TypeError: The class does not hold such values.
            ReadOnlyError: A read_only transaction is running.
            WouldDeadlockError: This thread itself holds it elsewhere.
            SpaceError: The space is closed or full, or cannot be used.

        Cost: one commit.

        Source: java.util.concurrent.atomic.AtomicReference.getAndSet

        Example:
            >>> from atomos.multiprocessing.atomic import AtomicInteger
            >>> AtomicInteger(1).get_and_set(2)
            1
        """
        return super().get_and_set(self._made_of(value))

    def compare_and_set(self, expect: object, update: T) -> bool:
        """Set the value if it equals `expect`.

        Returns:
            Whether it was set.

        Raises:
            TypeError: The class does not hold such values.
            ReadOnlyError: A read_only transaction is running.
            WouldDeadlockError: This thread itself holds it elsewhere.
            SpaceError: The space is closed or full, or cannot be used.

        Cost: one commit.

        Source: java.util.concurrent.atomic.AtomicReference.compareAndSet, which
        compares by identity

        Example:
            >>> from atomos.multiprocessing.atomic import AtomicInteger
            >>> AtomicInteger(1).compare_and_set(1, 2)
            True
        """
        return super().compare_and_set(expect, self._made_of(update))

    def compare_and_exchange(self, expect: object, update: T) -> T:
        """Set the value if it equals `expect`; return the one found.

        Raises:
            TypeError: The class does not hold such values.
            ReadOnlyError: A read_only transaction is running.
            WouldDeadlockError: This thread itself holds it elsewhere.
            SpaceError: The space is closed or full, or cannot be used.

        Cost: one commit.

        Source: java.util.concurrent.atomic.AtomicReference.compareAndExchange, which
        compares by identity

        Example:
            >>> from atomos.multiprocessing.atomic import AtomicInteger
            >>> AtomicInteger(1).compare_and_exchange(1, 2)
            1
        """
        return super().compare_and_exchange(expect, self._made_of(update))


def type_of(typecode_or_type: Any) -> Any:
    """Return the type of `ctypes` that is meant."""
    found = typecode_to_type.get(typecode_or_type, typecode_or_type)
    if isinstance(found, type) and issubclass(found, ctypes._SimpleCData):
        return found
    msg = (
        "typecode_or_type must be a simple type of ctypes, such as ctypes.c_int, or "
        f"its code, such as 'i', not {shown(typecode_or_type)}"
    )
    raise TypeError(msg)


class AtomicCtypesReference(Typed[Any]):
    """A value of a type of `ctypes`.

    Raises:
        TypeError: There is no such type, none was given, or it does not take `value`.
        SpaceError: The anonymous space cannot be made.

    Cost: to make one, as `Ref`.

    Example:
        >>> import ctypes
        >>> from atomos.multiprocessing.atomic import AtomicCtypesReference
        >>> level = AtomicCtypesReference(ctypes.c_byte, 127)
        >>> level.update_and_get(lambda n: n + 1)
        -128
    """

    __slots__ = ()

    def __init__(self, typecode_or_type: Any = None, value: Any = None) -> None:
        """Start with `value`, in the anonymous space.

        Args:
            typecode_or_type: As `multiprocessing.Value` takes it.
            value: The value; without one, what the type has by itself.
        """
        self._type = type_of(typecode_or_type)
        value = self._type().value if value is None else self._made_of(value)
        super().__init__(value)
        self._move(value)
