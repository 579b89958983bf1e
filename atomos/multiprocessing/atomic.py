"""Atomics that processes share, with the names and arguments of atomos 0.3.

Integers keep Python's range, floats its precision. `AtomicCtypesReference` and
`AtomicNumber` take a type of `ctypes`, and then hold what that type makes of a value:
a ``c_int`` wraps at 32 bits, as it does in an array of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from atomos import atomic
from atomos.atomic._number import N
from atomos.multiprocessing._cells import Shared
from atomos.multiprocessing._typed import AtomicCtypesReference, Typed, type_of
from atomos.stm import _solo
from atomos.stm._arguments import NOT_GIVEN
from atomos.stm._inside import inside
from atomos.stm._seat import seated

if TYPE_CHECKING:
    pass

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

    What reads or writes it raises `SpaceError` where the space is closed or full, or
    cannot be used; a value that cannot be pickled is an `EncodingError`.

    Raises:
        EncodingError: `value` cannot be pickled.
        SpaceError: The anonymous space cannot be made.

    Cost: to make one, as `Ref`.

    Source: java.util.concurrent.atomic.AtomicReference

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
        """Start with `value`, in the anonymous space."""
        super().__init__(value)
        self._move(value)


class AtomicBoolean(atomic.AtomicBoolean, Shared[bool]):
    """A flag that processes share.

    Calls raise what those of `AtomicReference` raise.

    Raises:
        TypeError: `value` is not a bool.
        SpaceError: The anonymous space cannot be made.

    Cost: to make one, as `Ref`.

    Source: java.util.concurrent.atomic.AtomicBoolean

    Example:
        >>> from atomos.multiprocessing.atomic import AtomicBoolean
        >>> started = AtomicBoolean()
        >>> started.get_and_set(True), started.get_and_set(True)
        (False, True)
    """

    __slots__ = ()

    def __init__(self, value: bool = False) -> None:
        """Start with `value`, in the anonymous space."""
        super().__init__(value)
        self._move(value)


class AtomicNumber(atomic.AtomicNumber[N], Typed[N]):
    """A number that processes share. Base of the others.

    Calls raise what those of `AtomicReference` raise.

    Raises:
        TypeError: There is no such type, it does not take `value`, or that is no
            number.
        SpaceError: The anonymous space cannot be made.

    Cost: to make one, as `Ref`.

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
        """
        self._type = None
        if typecode_or_type is not None:
            self._type = type_of(typecode_or_type)
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
            ReadOnlyError: A read_only transaction is running.
            WouldDeadlockError: This thread itself holds it elsewhere.
            SpaceError: The space is closed or full, or cannot be used.

        Cost: one commit.

        Source: java.util.concurrent.atomic.AtomicInteger.addAndGet

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

    Raises:
        TypeError: `value` is not an int.
        SpaceError: The anonymous space cannot be made.

    Cost: to make one, as `Ref`.

    Source: java.util.concurrent.atomic.AtomicInteger, whose values overflow at 32 bits;
    these do not

    Example:
        >>> from atomos.multiprocessing import AtomicInteger
        >>> hits = AtomicInteger()
        >>> hits.increment_and_get()
        1
    """

    __slots__ = ()
    _kind = int

    def __init__(self, value: int = 0) -> None:
        """Start with `value`, in the anonymous space."""
        super().__init__(None, value)


class AtomicLong(AtomicNumber[int]):
    """The same as `AtomicInteger` in all but name.

    Raises:
        TypeError: `value` is not an int.
        SpaceError: The anonymous space cannot be made.

    Cost: to make one, as `Ref`.

    Source: java.util.concurrent.atomic.AtomicLong, whose values overflow at 64 bits;
    these do not

    Example:
        >>> from atomos.multiprocessing.atomic import AtomicLong
        >>> AtomicLong(2**63 - 1).increment_and_get()
        9223372036854775808
    """

    __slots__ = ()
    _kind = int

    def __init__(self, value: int = 0) -> None:
        """Start with `value`, in the anonymous space."""
        super().__init__(None, value)


class AtomicFloat(AtomicNumber[float]):
    """A floating point number that processes share.

    Raises:
        TypeError: `value` is not a float.
        SpaceError: The anonymous space cannot be made.

    Cost: to make one, as `Ref`.

    Example:
        >>> from atomos.multiprocessing.atomic import AtomicFloat
        >>> AtomicFloat(0.5).add_and_get(1)
        1.5
    """

    __slots__ = ()
    _kind = float

    def __init__(self, value: float = 0.0) -> None:
        """Start with `value`, in the anonymous space."""
        super().__init__(None, value)
