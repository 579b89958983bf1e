"""AtomicBoolean: a flag."""

from __future__ import annotations

from atomos.atomic._reference import AtomicReference

__all__ = ["AtomicBoolean"]


class AtomicBoolean(AtomicReference[bool]):
    """A flag. Holds bools only; ``bool(flag)`` and ``if flag:`` read it.

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
        """Start with `value`.

        Raises:
            TypeError: `value` is not a bool.

        Cost: O(1).
        """
        super().__init__(value)

    def __bool__(self) -> bool:
        return self.get()
