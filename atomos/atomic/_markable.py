"""AtomicMarkableReference: a reference and a mark, changed as one."""

from __future__ import annotations

from typing import TypeVar

from atomos.atomic._pair import Pair, same_both, same_reference

__all__ = ["AtomicMarkableReference"]

T = TypeVar("T")


class AtomicMarkableReference(Pair[T, bool]):
    """A reference and a mark, such as "deleted".

    References are compared by identity (``is``), as in Java.

    Raises:
        TypeError: `mark` is not a bool.

    Cost: to make one, O(1) and 200 bytes without the reference (CPython 3.11), 56 of
    them for the tuple of both.

    Source: java.util.concurrent.atomic.AtomicMarkableReference

    Example:
        >>> from atomos.atomic import AtomicMarkableReference
        >>> link = AtomicMarkableReference("node", False)
        >>> link.attempt_mark(link.get_reference(), True)
        True
        >>> link
        AtomicMarkableReference('node', True)
    """

    __slots__ = ()
    _kind = bool

    def __init__(self, reference: T, mark: bool) -> None:
        """Start with `reference` and `mark`."""
        super().__init__(reference, mark)

    def is_marked(self) -> bool:
        """Return the mark.

        Cost: O(1), no lock.

        Source: java.util.concurrent.atomic.AtomicMarkableReference.isMarked

        Example:
            >>> from atomos.atomic import AtomicMarkableReference
            >>> AtomicMarkableReference("a", True).is_marked()
            True
        """
        return self.get()[1]

    def set(self, reference: T, mark: bool) -> tuple[T, bool]:
        """Set both, and return them as a tuple (Java returns nothing).

        Raises:
            TypeError: `mark` is not a bool.
            ReadOnlyError: A read_only transaction is running.
            WouldDeadlockError: This thread itself holds it elsewhere.

        Cost: one commit.

        Source: java.util.concurrent.atomic.AtomicMarkableReference.set

        Example:
            >>> from atomos.atomic import AtomicMarkableReference
            >>> AtomicMarkableReference("a", True).set("b", False)
            ('b', False)
        """
        return self._set(reference, mark)

    def compare_and_set(
        self,
        expected_reference: object,
        new_reference: T,
        expected_mark: bool,
        new_mark: bool,
    ) -> bool:
        """Set both if both are as expected.

        Args:
            expected_reference: Compared by identity (``is``).
            new_reference: What to set.
            expected_mark: Compared by ``==``.
            new_mark: What to set.

        Returns:
            Whether they were set.

        Raises:
            TypeError: `new_mark` is not a bool.
            ReadOnlyError: A read_only transaction is running.
            WouldDeadlockError: This thread itself holds it elsewhere.

        Cost: one commit; more if another thread is faster.

        Source: java.util.concurrent.atomic.AtomicMarkableReference.compareAndSet

        Example:
            >>> from atomos.atomic import AtomicMarkableReference
            >>> ref = AtomicMarkableReference(None, False)
            >>> ref.compare_and_set(None, "b", False, True)
            True
        """
        return self._compare(
            (expected_reference, expected_mark), (new_reference, new_mark), same_both
        )

    def attempt_mark(self, expected_reference: T, new_mark: bool) -> bool:
        """Set the mark if the reference is as expected (``is``).

        Returns:
            Whether it was set. Unlike Java's, it never fails for another reason.

        Raises:
            TypeError: `new_mark` is not a bool.
            ReadOnlyError: A read_only transaction is running.
            WouldDeadlockError: This thread itself holds it elsewhere.

        Cost: one commit; more if another thread is faster.

        Source: java.util.concurrent.atomic.AtomicMarkableReference.attemptMark

        Example:
            >>> from atomos.atomic import AtomicMarkableReference
            >>> AtomicMarkableReference(None, False).attempt_mark(None, True)
            True
        """
        return self._compare(
            expected_reference, (expected_reference, new_mark), same_reference
        )
