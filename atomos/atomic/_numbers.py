"""Atomics that count: AtomicInteger, AtomicLong, AtomicFloat."""

from __future__ import annotations

from atomos.atomic._number import AtomicNumber

__all__ = ["AtomicFloat", "AtomicInteger", "AtomicLong"]


class AtomicInteger(AtomicNumber[int]):
    """A whole number of any size. Holds ints, and bools since they are ints.

    Raises:
        TypeError: `value` is not an int.

    Cost: to make one, O(1) and 144 bytes without the value (CPython 3.11).

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
        """Start with `value`."""
        super().__init__(value)


class AtomicLong(AtomicNumber[int]):
    """A whole number of any size, the same as `AtomicInteger` in all but name.

    Raises:
        TypeError: `value` is not an int.

    Cost: to make one, O(1) and 144 bytes without the value (CPython 3.11).

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
        """Start with `value`."""
        super().__init__(value)


class AtomicFloat(AtomicNumber[float]):
    """A floating point number. Holds floats only; an int may be added to it.

    Raises:
        TypeError: `value` is not a float.

    Cost: to make one, O(1) and 144 bytes without the value (CPython 3.11).

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
        """Start with `value`."""
        super().__init__(value)
