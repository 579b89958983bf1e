"""AtomicStampedReference: a reference and a stamp, changed as one."""

from __future__ import annotations

from typing import TypeVar

from atomos.atomic._pair import Pair, same_both, same_reference

__all__ = ["AtomicStampedReference"]

T = TypeVar("T")


class AtomicStampedReference(Pair[T, int]):
    """A reference and an int stamp, such as a count of its changes.

    References are compared by identity (``is``), as in Java.

    Raises:
        TypeError: `stamp` is not an int.

    Cost: to make one, O(1) and 200 bytes without the reference and the stamp (CPython
    3.11), 56 of them for the tuple of both.

    Source: java.util.concurrent.atomic.AtomicStampedReference

    Example:
        >>> from atomos.atomic import AtomicStampedReference
        >>> top = AtomicStampedReference("node", 0)
        >>> node, stamp = top.get()
        >>> top.compare_and_set(node, None, stamp, stamp + 1)
        True
        >>> top
        AtomicStampedReference(None, 1)
    """

    __slots__ = ()
    _kind = int

    def __init__(self, reference: T, stamp: int) -> None:
        """Start with `reference` and `stamp`."""
        super().__init__(reference, stamp)

    def get_stamp(self) -> int:
        """Return the stamp.

        Cost: O(1), no lock.

        Source: java.util.concurrent.atomic.AtomicStampedReference.getStamp

        Example:
            >>> from atomos.atomic import AtomicStampedReference
            >>> AtomicStampedReference("a", 1).get_stamp()
            1
        """
        return self.get()[1]

    def set(self, reference: T, stamp: int) -> tuple[T, int]:
        """Set both, and return them as a tuple (Java returns nothing).

        Raises:
            TypeError: `stamp` is not an int.
            ReadOnlyError: A read_only transaction is running.
            WouldDeadlockError: This thread itself holds it elsewhere.

        Cost: one commit.

        Source: java.util.concurrent.atomic.AtomicStampedReference.set

        Example:
            >>> from atomos.atomic import AtomicStampedReference
            >>> AtomicStampedReference("a", 1).set("b", 2)
            ('b', 2)
        """
        return self._set(reference, stamp)

    def compare_and_set(
        self,
        expected_reference: object,
        new_reference: T,
        expected_stamp: int,
        new_stamp: int,
    ) -> bool:
        """Set both if both are as expected.

        Args:
            expected_reference: Compared by identity (``is``).
            new_reference: What to set.
            expected_stamp: Compared by ``==``.
            new_stamp: What to set.

        Returns:
            Whether they were set.

        Raises:
            TypeError: `new_stamp` is not an int.
            ReadOnlyError: A read_only transaction is running.
            WouldDeadlockError: This thread itself holds it elsewhere.

        Cost: one commit; more if another thread is faster.

        Source: java.util.concurrent.atomic.AtomicStampedReference.compareAndSet

        Example:
            >>> from atomos.atomic import AtomicStampedReference
            >>> AtomicStampedReference(None, 1).compare_and_set(None, "b", 2, 3)
            False
        """
        return self._compare(
            (expected_reference, expected_stamp), (new_reference, new_stamp), same_both
        )

    def attempt_stamp(self, expected_reference: T, new_stamp: int) -> bool:
        """Set the stamp if the reference is as expected (``is``).

        Returns:
            Whether it was set. Unlike Java's, it never fails for another reason.

        Raises:
            TypeError: `new_stamp` is not an int.
            ReadOnlyError: A read_only transaction is running.
            WouldDeadlockError: This thread itself holds it elsewhere.

        Cost: one commit; more if another thread is faster.

        Source: java.util.concurrent.atomic.AtomicStampedReference.attemptStamp

        Example:
            >>> from atomos.atomic import AtomicStampedReference
            >>> AtomicStampedReference(None, 1).attempt_stamp(None, 2)
            True
        """
        return self._compare(
            expected_reference, (expected_reference, new_stamp), same_reference
        )
