"""Ref: a value that processes change together with others, in a transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from atomos.multiprocessing._cells import SharedARef
from atomos.stm import ref

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Ref"]

T = TypeVar("T")


class Ref(ref.Ref[T], SharedARef[T]):
    """A value that all processes share, and change inside of transactions.

    As `atomos.Ref` between threads. It can be passed to another process, where it is
    the same ref.

    What reads or writes it raises `SpaceError` where the space is closed or full, or
    cannot be used.

    Raises:
        TypeError: `validator` is not callable, or `name` is no str.
        ValidationError: `validator` refuses `value`.
        EncodingError: `value` cannot be pickled.
        SpaceError: The anonymous space cannot be made.

    Cost: to make one, O(1), one pickling, and about 320 bytes with a pickled int
    (CPython 3.11); the first one of a process makes the space.

    Example:
        >>> from atomos.multiprocessing import Ref, dosync
        >>> checking, savings = Ref(100), Ref(0)
        >>> with dosync():
        ...     _ = checking.alter(lambda n: n - 30)
        ...     _ = savings.alter(lambda n: n + 30)
        >>> checking, savings
        (Ref(70), Ref(30))
    """

    __slots__ = ()

    def __init__(
        self,
        value: T,
        *,
        name: str | None = None,
        validator: Callable[[T], object] | None = None,
        meta: Any = None,
    ) -> None:
        """Start with `value`, in the anonymous space.

        Args:
            value: Any object that can be pickled.
            name: What `repr` and errors call it; it travels with the ref.
            validator: Called with each value before this process commits it.
            meta: Metadata, of this process.
        """
        super().__init__(value, name=name, validator=validator, meta=meta)
        self._move(value)
