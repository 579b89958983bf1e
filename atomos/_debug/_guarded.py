"""Versions that look at their value whenever it is used.

While mutation is looked for, `Version` is another class, `Guarded`, in all modules of
the engine. Its `value` takes a print as it is set, and compares it as it is loaded. So
no way to a value is left out, and a print lives exactly as long as its version.

Where nothing in a value can be changed, the slot holds the value itself, and there is
nothing to compare. Else it holds a `Kept`: value, print, and where it was set.

A committed version that was there before becomes a guarded one, and a guarded one
a plain one again, by a change of its class. An uncommitted one stays what it is, since
its own thread may be writing it. Whoever loads a value while that goes on sees the
class and the slot in either order: so a guarded version may hold a bare value, but no
plain one holds a `Kept`. That is why each of the two changes is made for all versions
before the other one begins.

In three places a look would come at the wrong time:

- where the value of a version is moved, not used: what undoes a part keeps the `Kept`
  itself (`Mode.MOVES`);
- after a commit, where the displaced value is passed on: it was looked at before
  (`Mode.QUIET`, and `displaced`);
- a list of commutes is no value.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from functools import wraps
from threading import local
from typing import Any, ParamSpec, TypeVar
from weakref import ref

from atomos._debug._places import Place, place
from atomos._debug._prints import Prints, Record, changed
from atomos.errors import MutatedValueError
from atomos.stm._cell import Cell, Version
from atomos.stm._footprint import COMMUTED

__all__ = [
    "Guarded",
    "Kept",
    "Mode",
    "guard_all",
    "guarding",
    "here",
    "kept_of",
    "let_go_all",
    "plain",
    "with_mode",
]

P = ParamSpec("P")
R = TypeVar("R")

_slot: Any = vars(Version)["value"]


class Mode:
    """What to do as a value is loaded, if not to look at it."""

    QUIET = "quiet"
    MOVES = "moves"


class Here(local):
    """What each thread is about.

    Attributes:
        mode: One of `Mode`; None to look.
        displaced: What was displaced by the operation under way of an Atom or atomic
            alone, which passes it on; None if there is none.
        lent: What was loaded last.
        action: Where the function of the agent's action under way is written.
    """

    mode: str | None = None
    displaced: list[Kept] | None = None
    lent: ref[Kept] | None = None
    action: Place | None = None


class Guarding:
    """How to guard. Replaced as a whole.

    Attributes:
        prints: Takes the prints; None while nobody looks for mutation.
    """

    prints: Prints | None = None


here = Here()
guarding = Guarding()


class Kept:
    """A value that can be changed, and what tells whether it was.

    Attributes:
        value: The value.
        records: Its print.
        place: Where it was set; None if not known.
        seen: It was set before anybody looked, and seen first at `place`.
        reported: It was found changed, and somebody was told.
        label: What messages call its cell; None until that is looked for.
    """

    __slots__ = (
        "__weakref__",
        "label",
        "place",
        "records",
        "reported",
        "seen",
        "value",
    )

    def __init__(self, value: object, records: list[Record], seen: bool) -> None:
        self.value = value
        self.records = records
        self.seen = seen
        self.place = place() or (None if seen else here.action)
        self.reported = False
        self.label: str | None = None

    def look(self, again: bool = True) -> None:
        """Raise if the value was changed.

        Args:
            again: Also if that was reported already.

        Raises:
            MutatedValueError: It was.
        """
        if self.reported and not again:
            return
        found = changed(self.records)
        if found is not None:
            self.reported = True
            raise MutatedValueError(self._told(found))

    def _told(self, found: object) -> str:
        if self.label is None:
            cell = _cell_of(self)
            self.label = "a cell" if cell is None else cell._label()
        where = "it" if found is self.value else "something inside of it"
        what = f"{where} ({type(found).__name__})"
        when = "when it was set"
        if self.seen:
            when = "when debugging was enabled"
        if self.place is not None:
            when += f" at {self.place[0]}:{self.place[1]}"
        return (
            f"the value of {self.label} was changed in place: {what} is not as it was "
            f"{when}. Leave a value as it is once it was set, and set a changed copy"
        )


class Guarded(Version[Any]):
    """A version that looks at its value. Laid out as any other version."""

    __slots__ = ()

    def _load(self) -> Any:
        kept = _slot.__get__(self)
        if type(kept) is not Kept:
            return kept
        if guarding.prints is None or self.number == COMMUTED:
            return kept.value
        thread = here
        mode = thread.mode
        if mode is Mode.MOVES:
            return kept
        if mode is None and kept not in (thread.displaced or ()):
            kept.look()
        thread.lent = ref(kept)
        return kept.value

    def _store(self, value: Any) -> None:
        prints = guarding.prints
        if prints is not None and type(value) is not Kept:
            records = prints.take(value)
            if records:
                value = Kept(value, records, seen=False)
        _slot.__set__(self, value)

    value = property(_load, _store)


def kept_of(version: Version[Any] | None) -> Kept | None:
    """Return what there is to look at in `version`."""
    if type(version) is not Guarded or version.number == COMMUTED:
        return None
    kept = _slot.__get__(version)
    return kept if type(kept) is Kept else None


def with_mode(mode: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Return what makes a function run in `mode`."""

    def wrap(fn: Callable[P, R]) -> Callable[P, R]:
        @wraps(fn)
        def in_mode(*args: P.args, **kwargs: P.kwargs) -> R:
            before = here.mode
            try:
                here.mode = mode
                return fn(*args, **kwargs)
            finally:
                here.mode = before

        return in_mode

    return wrap


def plain() -> type[Version[Any]]:
    """Return the class `Version`, which each module has another one for just now."""
    return Guarded.__mro__[1]


def guard_all() -> None:
    """Guard the committed versions that there are; call it when new ones are guarded.

    Cost: O(objects of the process).
    """
    prints = guarding.prints
    assert prints is not None
    found = _committed(plain())
    for version, _ in found:
        version.__class__ = Guarded
    for version, value in found:
        records = prints.take(value)
        if records:
            _slot.__set__(version, Kept(value, records, seen=True))


def let_go_all() -> None:
    """Undo `guard_all`, for the versions made since, too; no new ones are guarded.

    Cost: O(objects of the process).
    """
    found = _committed(Guarded)
    for version, kept in found:
        if type(kept) is Kept:
            _slot.__set__(version, kept.value)
    kind = plain()
    for version, _ in found:
        version.__class__ = kind


def _committed(kind: type[Version[Any]]) -> list[tuple[Version[Any], object]]:
    """Return the committed versions of exactly that class, and what their slots hold.

    One that is just being made lacks its number or its value.
    """
    found = []
    for one in gc.get_objects():
        if type(one) is kind and getattr(one, "number", 0) > 0:
            try:
                found.append((one, _slot.__get__(one)))
            except AttributeError:
                pass
    return found


def _cell_of(kept: Kept) -> Cell[Any] | None:
    """Return the cell that has `kept`, by asking the garbage collector.

    A version does not know its cell. Only who writes an error asks.

    Cost: O(objects of the process).
    """
    kind = plain()
    versions = [one for one in gc.get_referrers(kept) if isinstance(one, kind)]
    seen = {id(one) for one in versions}
    while versions:
        version = versions.pop()
        for one in gc.get_referrers(version):
            if isinstance(one, Cell):
                return one
            if type(one) is dict:  # the view of a transaction
                for key, value in list(one.items()):
                    if value is version and isinstance(key, Cell):
                        return key
            elif isinstance(one, kind) and id(one) not in seen:
                seen.add(id(one))
                versions.append(one)
    return None
