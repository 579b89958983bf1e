"""AtomicBoolean: a flag."""

from __future__ import annotations

from atomos.atomic._reference import AtomicReference

__all__ = ["AtomicBoolean"]


class AtomicBoolean(AtomicReference[bool]):
    """A flag. Holds bools only; ``bool(flag)`` and ``if flag:`` read it.

    Raises:
        TypeError: `value` is not a bool.

    Cost: to make one, O(1) and 144 bytes (CPython 3.11).

    Source: java.util.concurrent.atomic.AtomicBoolean

    Example:
        >>> from atomos.atomic import AtomicBoolean
        >>> started = AtomicBoolean()
        >>> started.get_and_set(True), started.get_and_set(True)
        (False, True)
        >>> bool(started)
        True
    """

    __slots__ = ()
    _kind = bool

    def __init__(self, value: bool = False) -> None:
        """Start with `value`."""
        super().__init__(value)

    def __bool__(self) -> bool:
        return self.get()
