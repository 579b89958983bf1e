"""One transactional location: its newest version, who holds it, its lock.

The newest version lies on the cell as one object; the one before it hangs off
it as `older`, for as long as an open snapshot can still read it; what a
snapshot needs beyond that lies in the cell's `History`.

A version is linked before it is decided. Until then its `number` is 0, and its
`owner` tells: a number there is its number too (it is copied when somebody
comes by), `ABORTED` means that it never was, 0 means that it is not yet. In
the last two cases `older` is the newest version. So no reader ever waits: an
undecided version will get a number above every read point given out so far.

Writing needs the cell to be held: `_holder` is the status of the one
transaction that may link versions here, until that status is decided. An atom
that commits alone holds nothing: it links and commits in one section under
its lock, where it sees that nobody holds the cell.

A cell's lock guards those few stores. Refs share a table of locks, so that a
ref is small and a fork can take them all; Atoms and atomics use the clock's
lock, so that their update takes one lock and not two. No section under such a
lock calls a function.
"""

from __future__ import annotations

from _thread import allocate_lock
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from atomos.stm._clock import INITIAL, clock

if TYPE_CHECKING:
    from _thread import LockType

    from atomos.stm._history import History
    from atomos.stm._status import Status

__all__ = ["Cell", "Version", "hot_locks", "latest", "pending", "settle"]

T = TypeVar("T")

#: Locks shared by all refs. 64 make it unlikely (1 in 64) that two threads on
#: different refs meet, and are quickly taken by a fork.
STRIPES = 64
_stripes = [allocate_lock() for _ in range(STRIPES)]


class Version(Generic[T]):
    """One value of one cell, and the number of the commit that made it.

    Made without `__init__`, whose call would cost more than all the stores.

    Attributes:
        value: The value. Never changes once linked, but is dropped if aborted.
        number: 0 until decided; then never changes.
        older: The committed version before this one; None when there is none
            or when no open snapshot needs it. Always settled.
        owner: Who decides it, while `number` is 0.
    """

    __slots__ = ("number", "older", "owner", "value")

    value: T
    number: int
    older: Version[T] | None
    owner: Status | None


class Cell(Generic[T]):
    """One location. Base of Ref, Atom and the atomics.

    Attributes:
        _newest: The version linked last. Written only by the holder, or under
            `_lock` while nobody holds the cell.
        _holder: The status that holds the cell until it is decided; a decided
            one holds nothing. Written only under `_lock`.
        _history: What open snapshots need beyond `_newest.older`; None until
            first needed. See `_history`.
        _lock: Guards `_holder`, and `_newest` while nobody holds the cell.
        _extras: What only some cells have (name, validator, watches ...); None
            until first needed. The engine looks only whether it is there.
    """

    __slots__ = ("__weakref__", "_extras", "_history", "_holder", "_lock", "_newest")

    _newest: Version[T]
    _holder: Status | None
    _history: History | None
    _lock: LockType
    _extras: Any

    def __init__(self, value: T, lock: LockType | None = None) -> None:
        """Start with `value`, which every snapshot sees, open ones too."""
        version: Version[T] = Version()
        version.value = value
        version.number = INITIAL
        version.older = None
        version.owner = None
        self._newest = version
        self._holder = None
        self._history = None
        self._lock = _stripes[(id(self) >> 4) % STRIPES] if lock is None else lock
        self._extras = None

    # What the engine asks of a cell that has extras; `ARef` answers.

    def _label(self) -> str:
        """Return what messages call this cell."""
        return f"{type(self).__name__} at {id(self):#x}"

    def _admit(self, value: T) -> None:
        """Raise if `value` may not be stored. Called outside every lock."""

    def _committed(self, old: T, new: T) -> None:
        """Hear of a commit. Called after it, outside every lock."""

    def _history_cap(self) -> int | None:
        """Return how many old versions may be kept; None for no limit."""
        return None


def latest(cell: Cell[T]) -> Version[T]:
    """Return the version committed last, settled.

    Cost: O(1), no lock. Repeats only when a commit on this cell finishes in
    between.
    """
    while True:
        version = cell._newest
        if version.number > 0:
            return version
        owner = version.owner
        if owner is None:
            continue  # it was settled in between
        number = owner.number
        if number > 0:
            settle(version, number)
            return version
        older = version.older
        if older is not None:
            return older
        # It was settled, and what it displaced was cut, in between.


def pending(value: T) -> Version[T]:
    """Return an undecided version that is not linked yet."""
    version: Version[T] = Version()
    version.value = value
    version.number = 0
    version.older = None
    version.owner = None
    return version


def settle(version: Version[Any], number: int) -> None:
    """Copy the number of a decided owner; idempotent, so anybody may."""
    version.number = number
    version.owner = None


def hot_locks() -> list[LockType]:
    """Return every lock that guards a few stores: the refs' and the clock's."""
    return [*_stripes, clock.lock]
