"""What AtomicStampedReference and AtomicMarkableReference have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from atomos.stm import _solo
from atomos.stm._arguments import shown
from atomos.stm._cell import latest
from atomos.stm._waited import WaitedFor

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Pair", "same_both", "same_reference"]

T = TypeVar("T")
L = TypeVar("L", bound=int)


def same_both(found: tuple[Any, Any], expected: tuple[Any, Any]) -> bool:
    """Whether the reference is the one expected, and the label equals."""
    return found[0] is expected[0] and bool(found[1] == expected[1])


def same_reference(found: tuple[Any, Any], expected: object) -> bool:
    """Whether the reference is the one expected, whatever the label."""
    return found[0] is expected


class Pair(WaitedFor[tuple[T, L]], Generic[T, L]):
    """A reference and a label, in one cell as a tuple."""

    __slots__ = ()
    _kind: ClassVar[type]

    def __init__(self, reference: T, label: L) -> None:
        super().__init__((reference, self._fit(label)))

    def __repr__(self) -> str:
        """Show the latest committed values."""
        reference, label = latest(self).value
        return f"{type(self).__name__}({reference!r}, {label!r})"

    def _fit(self, label: L) -> L:
        if not isinstance(label, self._kind):
            msg = (
                f"{type(self).__name__} needs {self._kind.__name__}, not "
                f"{type(label).__name__} {shown(label)}; nothing was changed"
            )
            raise TypeError(msg)
        return label

    def get(self) -> tuple[T, L]:
        """Return the reference and its stamp or mark, of the same instant.

        Cost: O(1), no lock.

        Source: java.util.concurrent.atomic.AtomicStampedReference.get, which
        returns the second in an array

        Example:
            >>> from atomos.atomic import AtomicStampedReference
            >>> AtomicStampedReference("a", 1).get()
            ('a', 1)
        """
        return _solo.read(self)

    def get_reference(self) -> T:
        """Return the reference.

        Cost: O(1), no lock.

        Source: java.util.concurrent.atomic.AtomicStampedReference.getReference

        Example:
            >>> from atomos.atomic import AtomicStampedReference
            >>> AtomicStampedReference("a", 1).get_reference()
            'a'
        """
        return self.get()[0]

    def _set(self, reference: T, label: L) -> tuple[T, L]:
        pair = (reference, self._fit(label))
        _solo.store(self, pair)
        return pair

    def _compare(
        self, expected: object, pair: tuple[T, L], same: Callable[[Any, Any], object]
    ) -> bool:
        self._fit(pair[1])
        return _solo.compare_and_exchange(self, expected, pair, same)[0]
