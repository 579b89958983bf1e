"""Atomics that processes share, with the names and arguments of atomos 0.3.

Integers keep Python's range, floats its precision. `AtomicCtypesReference` and
`AtomicNumber` take a type of `ctypes`, and then hold what that type makes of a value:
a ``c_int`` wraps at 32 bits, as it does in an array of them.
"""

from __future__ import annotations

import ctypes
from multiprocessing.sharedctypes import typecode_to_type  # type: ignore[attr-defined] # not in typeshed
from typing import TYPE_CHECKING, Any, TypeVar

from atomos import atomic
from atomos.atomic._number import N
from atomos.multiprocessing._cells import Shared
from atomos.stm import _solo
from atomos.stm._arguments import NOT_GIVEN, shown
from atomos.stm._inside import inside
from atomos.stm._seat import seated

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "AtomicBoolean",
    "AtomicCtypesReference",
    "AtomicFloat",
    "AtomicInteger",
    "AtomicLong",
    "AtomicNumber",
    "AtomicReference",
]

T = TypeVar("T")


class AtomicReference(atomic.AtomicReference[T], Shared[T]):
    """A value that any process may read and replace.

    Example:
        >>> from atomos.multiprocessing.atomic import AtomicReference
        >>> leader = AtomicReference("ann")
        >>> leader.compare_and_set("ann", "bob")
        True
        >>> leader
        AtomicReference('bob')
    """

    __slots__ = ()

    def __init__(self, value: T = None) -> None:  # type: ignore[assignment] # as in 0.3
        """Start with `value`, in the anonymous space.

        Raises:
            EncodingError: `value` cannot be pickled.
            SpaceError: The anonymous space cannot be made.

        Cost: one pickling.
        """
        super().__init__(value)
        self._move(value)


class AtomicBoolean(atomic.AtomicBoolean, Shared[bool]):
    """A flag that processes share.

    Example:
        >>> from atomos.multiprocessing.atomic import AtomicBoolean
        >>> started = AtomicBoolean()
        >>> started.get_and_set(True), started.get_and_set(True)
        (False, True)
    """

    __slots__ = ()

    def __init__(self, value: bool = False) -> None:
        """Start with `value`, in the anonymous space.

        Raises:
            TypeError: `value` is not a bool.
            SpaceError: The anonymous space cannot be made.

        Cost: one pickling.
        """
        super().__init__(value)
        self._move(value)


class _Typed(atomic.AtomicReference[T], Shared[T]):
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

        Cost: one commit.

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

        Cost: one commit.

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

        Cost: one commit.

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

        Cost: one commit.

        Example:
            >>> from atomos.multiprocessing.atomic import AtomicInteger
            >>> AtomicInteger(1).compare_and_exchange(1, 2)
            1
        """
        return super().compare_and_exchange(expect, self._made_of(update))


def _type_of(typecode_or_type: Any) -> Any:
    """Return the type of `ctypes` that is meant."""
    found = typecode_to_type.get(typecode_or_type, typecode_or_type)
    if isinstance(found, type) and issubclass(found, ctypes._SimpleCData):
        return found
    msg = (
        "typecode_or_type must be a simple type of ctypes, such as ctypes.c_int, or "
        f"its code, such as 'i', not {shown(typecode_or_type)}"
    )
    raise TypeError(msg)


class AtomicCtypesReference(_Typed[Any]):
    """A value of a type of `ctypes`.

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

        Raises:
            TypeError: There is no such type, or it does not take `value`.

        Cost: one pickling.
        """
        self._type = _type_of(typecode_or_type)
        value = self._type().value if value is None else self._made_of(value)
        super().__init__(value)
        self._move(value)


class AtomicNumber(atomic.AtomicNumber[N], _Typed[N]):
    """A number that processes share. Base of the others.

    Example:
        >>> import ctypes
        >>> from atomos.multiprocessing.atomic import AtomicNumber
        >>> AtomicNumber(ctypes.c_ubyte, 250).add_and_get(10)
        4
        >>> AtomicNumber(value=250).add_and_get(10)
        260
    """

    __slots__ = ()

    def __init__(self, typecode_or_type: Any = None, value: N = NOT_GIVEN) -> None:
        """Start with `value`, in the anonymous space.

        Args:
            typecode_or_type: As `multiprocessing.Value` takes it; None for numbers of
                any type and size.
            value: The number; without one None, until a number is set.

        Raises:
            TypeError: There is no such type, or it does not take `value`.

        Cost: one pickling.
        """
        self._type = None
        if typecode_or_type is not None:
            self._type = _type_of(typecode_or_type)
            value = self._type().value if value is NOT_GIVEN else self._made_of(value)
        super().__init__(value)
        if value is NOT_GIVEN:
            value = None  # type: ignore[assignment] # as in 0.3
        self._move(value)

    def add_and_get(self, delta: N) -> N:
        """Add `delta`, and return the sum.

        Raises:
            TypeError: The sum is not of the type that this class holds; nothing is
                changed.

        Cost: one commit.

        Example:
            >>> from atomos.multiprocessing.atomic import AtomicInteger
            >>> AtomicInteger(3).add_and_get(2)
            5
        """
        return self._add(delta)[1]

    def _add(self, delta: N) -> tuple[N, N]:
        if seated and inside() is not None:
            return _solo.update(self, self._plus, (delta,), {})
        # Numbers are no code of the user's, as far as anybody would wait for it.
        return self._home.change(self, lambda value: self._plus(value, delta), True)

    def _plus(self, value: N, delta: N) -> N:
        after = super()._plus(value, delta)
        return after if self._type is None else self._made_of(after)


class AtomicInteger(AtomicNumber[int]):
    """A whole number of any size that processes share.

    Example:
        >>> from atomos.multiprocessing import AtomicInteger
        >>> hits = AtomicInteger()
        >>> hits.increment_and_get()
        1
    """

    __slots__ = ()
    _kind = int

    def __init__(self, value: int = 0) -> None:
        """Start with `value`, in the anonymous space.

        Raises:
            TypeError: `value` is not an int.

        Cost: one pickling.
        """
        super().__init__(None, value)


class AtomicLong(AtomicNumber[int]):
    """The same as `AtomicInteger` in all but name.

    Example:
        >>> from atomos.multiprocessing.atomic import AtomicLong
        >>> AtomicLong(2**63 - 1).increment_and_get()
        9223372036854775808
    """

    __slots__ = ()
    _kind = int

    def __init__(self, value: int = 0) -> None:
        """Start with `value`, in the anonymous space.

        Raises:
            TypeError: `value` is not an int.

        Cost: one pickling.
        """
        super().__init__(None, value)


class AtomicFloat(AtomicNumber[float]):
    """A floating point number that processes share.

    Example:
        >>> from atomos.multiprocessing.atomic import AtomicFloat
        >>> AtomicFloat(0.5).add_and_get(1)
        1.5
    """

    __slots__ = ()
    _kind = float

    def __init__(self, value: float = 0.0) -> None:
        """Start with `value`, in the anonymous space.

        Raises:
            TypeError: `value` is not a float.

        Cost: one pickling.
        """
        super().__init__(None, value)
