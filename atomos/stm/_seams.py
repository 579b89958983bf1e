"""Functions of the library that are replaced while somebody looks on.

The engine has no hooks: a look at one would cost 10 ns in paths that take 100. Whoever
wants to see what it does (a scheduler of tests, statistics, a trace) wraps the
functions that he wants to hear of, for as long as he looks. Afterwards the functions
that were there before are there again, so nothing is left of it.

Several may wrap one function, and let go in any order: the wrappers lie over each
other in the order in which they came, and what is in the place is made anew at each
change.

A module that has imported a function by name has a place of its own for it. So a
function of a module is replaced in each module of the library that has it.
"""

from __future__ import annotations

import sys
from _thread import allocate_lock
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

__all__ = ["Seams", "original", "reset_after_fork"]

F = TypeVar("F")


class _Place:
    """A name of a class or module, what it was, and what lies over it.

    Attributes:
        original: What was there before anybody came. Never changes.
        wrappers: Each with the `Seams` it belongs to, in the order of coming.
    """

    __slots__ = ("name", "original", "owner", "wrappers")

    def __init__(self, owner: type | ModuleType, name: str) -> None:
        self.owner = owner
        self.name = name
        self.original: Any = vars(owner)[name]
        self.wrappers: list[tuple[Seams, Callable[[Any], Any]]] = []

    def renew(self) -> None:
        """Store what is to be there now."""
        present = self.original
        for _, wrap in self.wrappers:
            present = wrap(present)
        setattr(self.owner, self.name, present)


#: The places where something is replaced now. Written under `_lock`.
_places: dict[tuple[int, str], _Place] = {}
_lock = allocate_lock()


def reset_after_fork() -> None:
    """In the child of a fork: the lock may have been held by another thread."""
    _lock._at_fork_reinit()  # type: ignore[attr-defined] # not in typeshed


class Seams:
    """Functions that are wrapped until `close`.

    Example:
        >>> from atomos import Ref
        >>> from atomos.stm._seams import Seams
        >>> seams = Seams()
        >>> seams.method(Ref, "deref", lambda deref: lambda ref: deref(ref) + 1)
        >>> Ref(7).deref()
        8
        >>> seams.close()
        >>> Ref(7).deref()
        7
    """

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held: list[_Place] = []

    def __repr__(self) -> str:
        """Show what is replaced."""
        names = [f"{one.owner.__name__}.{one.name}" for one in self._held]
        return f"{type(self).__name__}({', '.join(names)})"

    def method(
        self, owner: type | ModuleType, name: str, wrap: Callable[[F], F]
    ) -> None:
        """Replace what `owner` itself, no base of it, has under `name`.

        Args:
            owner: A class, or a module of which this one place alone is meant.
            name: The name.
            wrap: Called with what is there; returns what is to be there.

        Raises:
            KeyError: There is no such name.
        """
        with _lock:
            key = id(owner), name
            place = _places.get(key) or _Place(owner, name)
            _places[key] = place
            place.wrappers.append((self, wrap))
            self._held.append(place)
            place.renew()

    def function(self, module: ModuleType, name: str, wrap: Callable[[F], F]) -> None:
        """Replace a function of a module, wherever the library has imported it.

        Args:
            module: Where it is defined.
            name: The name there.
            wrap: As in `method`; called for each place.

        Raises:
            KeyError: There is no such name.
        """
        wanted = original(module, name)
        for other in _library():
            # A copy: a package gets a name when a module of it is imported.
            for there in list(vars(other)):
                if original(other, there) is wanted:
                    self.method(other, there, wrap)

    def close(self) -> None:
        """Take the wrappers away; again does no harm."""
        with _lock:
            while self._held:
                place = self._held[-1]
                place.wrappers = [one for one in place.wrappers if one[0] is not self]
                place.renew()
                if not place.wrappers:
                    _places.pop((id(place.owner), place.name), None)
                self._held.pop()


def original(owner: ModuleType, name: str) -> object:
    """Return what `owner` has under `name` when nobody looks."""
    with _lock:  # both looks are of one moment
        place = _places.get((id(owner), name))
        return vars(owner)[name] if place is None else place.original


def _library() -> Iterator[ModuleType]:
    """Yield the modules of the library that have been imported."""
    for name, module in list(sys.modules.items()):
        if name == "atomos" or name.startswith("atomos."):
            yield module
