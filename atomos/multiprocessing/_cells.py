"""What all shared cells have in common: where they live, and how they travel.

A cell is a key in a space, and the value that it has as long as no process has written
it. So to make one writes nothing; to pass it to another process passes these, and there
it is the same location: one object in each process, for transactions tell cells apart
by identity.

Its validator, watches and metadata belong to the process where they were set.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from atomos.errors import AtomosError
from atomos.multiprocessing._anonymous import anonymous_home
from atomos.multiprocessing._codec import not_encoded
from atomos.multiprocessing._homes import attach
from atomos.reference import ARef
from atomos.stm._cell import NOWHERE, Cell
from atomos.stm._waited import WaitedFor

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from atomos.multiprocessing._home import SpaceHome

__all__ = ["Shared", "SharedARef", "restore"]

T = TypeVar("T")


class Shared(WaitedFor[T]):
    """A cell of a space. Base of the classes of this package.

    Attributes:
        _home: The space.
        _key: Under which key the space has it. Never changes.
        _initial: The value that it has while there is no record of it, as bytes; empty
            if that is not known, since it was changed before it got here.
    """

    __slots__ = ("_home", "_initial", "_key")

    _home: SpaceHome
    _key: bytes
    _initial: bytes

    def _move(self, value: T) -> None:
        """Live in the anonymous space from now on; called at the end of `__init__`.

        Args:
            value: The initial value, which is checked already.

        Raises:
            EncodingError: It cannot be encoded.
        """
        home, key = anonymous_home()
        try:
            self._initial = home.codec.dumps(value)
        except Exception as error:
            raise not_encoded(home.codec, value, self._label(), error) from error
        self._key = key
        self._home = home
        self._newest = NOWHERE
        home.cells[key] = self

    def _shown(self) -> str:
        """Return the value as `repr` shows it, or which error there is instead.

        Loggers and debuggers call `repr`, also once the space is closed.
        """
        try:
            return super()._shown()
        except AtomosError as error:
            return f"<{type(error).__name__}>"

    def _name(self) -> str | None:
        """Return the name that travels with it."""
        return None

    def _details(self) -> tuple[Any, ...]:
        """Return what else `_arrive` needs in another process."""
        return ()

    def _arrive(self, name: str | None, *details: Any) -> None:
        """Take over what has travelled."""

    @classmethod
    def _plain_details(cls) -> tuple[Any, ...]:
        """Return what `_arrive` needs of a cell that a space makes by its name."""
        return ()

    def __reduce_ex__(self, protocol: object) -> Any:
        """Pass the place, not the value: what arrives is the same location."""
        place = self._home.path, self._key, self._initial
        return restore, (type(self), *place, self._name(), *self._details())


class SharedARef(ARef[T], Shared[T]):
    """A shared cell with a name and watches: `Ref` and `Atom`."""

    __slots__ = ()

    def _name(self) -> str | None:
        return None if self._extras is None else self._extras.name

    def _arrive(self, name: str | None, *details: Any) -> None:
        if name is not None:
            self._need_extras().name = name

    def add_watch(self, key: Hashable, fn: Callable[[Any, Any, T, T], object]) -> None:
        """Have `fn` called for the commits of all processes that wrote this one.

        As between threads, called in the thread that committed; for commits of other
        processes in a thread of its own. Several commits may come as one call: each
        call begins with the value that the one before ended with.

        Args:
            key: Identifies the watch; a watch with the same key is replaced.
            fn: Called as ``fn(key, ref, old, new)``.

        Raises:
            TypeError: `fn` is not callable, or `key` not hashable.
            SpaceClosedError: The space was closed.

        Cost: O(watches of the space); a thread while there are any, and one that
        listens until the space is closed.

        Source: clojure.core/add-watch

        Example:
            >>> from atomos.multiprocessing import Atom
            >>> tally = Atom(1)
            >>> tally.add_watch("print", print)
            >>> tally.remove_watch("print")
        """
        self._home.listener.begin(self)
        super().add_watch(key, fn)
        self._home.listener.watch(self)

    def _notify(
        self, watches: dict[Any, Callable[[Any, Any, T, T], object]], old: T, new: T
    ) -> None:
        """Call these watches; a `notify_watches` of a subclass as it is."""
        if type(self).notify_watches is ARef.notify_watches:
            self._call_watches(watches, old, new)
        else:
            self.notify_watches(old, new)

    def _committed(self, old: T, new: T) -> None:
        if self._extras.watches:
            self._home.listener.report(self)


def restore(
    kind: type[Shared[Any]],
    path: str,
    key: bytes,
    initial: bytes,
    name: str | None,
    *details: Any,
) -> Shared[Any]:
    """Return the cell of this process that is this one in another.

    Raises:
        SpaceError: Its space is gone.
    """
    return place(kind, attach(path), key, initial, name, *details)


def place(
    kind: type[Shared[Any]],
    home: SpaceHome,
    key: bytes,
    initial: bytes,
    name: str | None,
    *details: Any,
) -> Shared[Any]:
    """Return the one cell of `home` with this key; it is made if there is none."""
    cell = home.cells.get(key)
    if cell is not None:
        return cell
    made = kind.__new__(kind)
    Cell.__init__(made, None)
    made._initial = initial
    made._key = key
    made._home = home
    made._newest = NOWHERE
    made._arrive(name, *details)
    with home.arrival:  # setdefault takes more than one step
        return home.cells.setdefault(key, made)
