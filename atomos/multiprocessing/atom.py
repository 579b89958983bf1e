"""Atom: one value that processes change by functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, overload

from atomos import atom
from atomos.multiprocessing._cells import SharedARef
from atomos.stm._arguments import NOT_GIVEN, one_of

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Atom"]

T = TypeVar("T")


class Atom(atom.Atom[T], SharedARef[T]):
    """A value that any process may read, and change by a function of it.

    As `atomos.Atom` between threads. It can be passed to another process, where it is
    the same atom.

    What reads or writes it raises `SpaceError` where the space is closed or full, or
    cannot be used.

    Raises:
        TypeError: `validator` is not callable, `name` is no str, or `value` was left
            out or given twice, as `state` too.
        ValidationError: `validator` refuses `value`.
        EncodingError: `value` cannot be pickled.
        SpaceError: The anonymous space cannot be made.

    Cost: to make one, O(1), one pickling, and about 320 bytes with a pickled int
    (CPython 3.11); the first one of a process makes the space.

    Example:
        >>> from atomos.multiprocessing import Atom
        >>> tally = Atom({})
        >>> tally.swap(lambda d: {**d, "apples": 3})
        {'apples': 3}
        >>> tally
        Atom({'apples': 3})
    """

    __slots__ = ()

    @overload
    def __init__(
        self,
        value: T,
        *,
        name: str | None = None,
        validator: Callable[[T], object] | None = None,
        meta: Any = None,
    ) -> None: ...

    @overload
    def __init__(self, *, state: T) -> None: ...

    def __init__(
        self,
        value: T = NOT_GIVEN,
        *,
        name: str | None = None,
        validator: Callable[[T], object] | None = None,
        meta: Any = None,
        state: T = NOT_GIVEN,
    ) -> None:
        """Start with `value`, in the anonymous space.

        Args:
            value: Any object that can be pickled.
            name: What `repr` and errors call it; it travels with the atom.
            validator: Called with each value before this process commits it.
            meta: Metadata, of this process.
            state: The name of `value` in atomos 0.3.
        """
        if value is NOT_GIVEN or state is not NOT_GIVEN:
            value = one_of(type(self).__name__, "value", value, "state", state)
        super().__init__(value, name=name, validator=validator, meta=meta)
        self._move(value)
