"""One transactional location: its newest version, and who holds it.

The newest version lies on the cell as one object; the one before it hangs off
it as `older`, and so on, for as long as an open snapshot can still read them; a
long chain ends in a SortedDict (see `_history`).

A version of a transaction is linked before it is decided. Until then its `number`
is 0, and its `owner` tells: a number there is its number too (it is copied when
somebody comes by), `ABORTED` means that it never was, 0 means that it is not yet.
In the last two cases `older` is the newest version. So no reader ever waits: an
undecided version will get a number above every read point given out so far.

Writing needs the cell to be held: `_holder` is the status of the one
transaction that may link versions here, until that status is decided. An atom
that commits alone holds nothing: it links and commits in one turn at the clock,
where it sees that nobody holds the cell.

No cell has a lock: the clock's turn (`_clock`) is one for all, and lasts for a few
stores, never for a whole commit. A lock for each ref was tried: a transfer then
takes three locks instead of one, each of which costs as much as what it guards (on
3.11 about 100 ns of 300).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

from atomos.stm._turn import INITIAL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from atomos.stm._home import Home
    from atomos.stm._status import NOBODY, Status
    from atomos.stm._turn import Numbered

__all__ = ["NOWHERE", "Cell", "Version", "latest", "pending", "settle"]

T = TypeVar("T")


class Version(Generic[T]):
    """One value of one cell, and the number of the commit that made it.

    Made without `__init__`, whose call would cost more than all the stores.

    Attributes:
        value: The value. Never changes once linked, but is dropped if aborted.
        number: 0 until decided; then never changes. A commit of one cell alone
            links a version that has its number already.
        older: A committed version before this one, the last that an open
            snapshot needs; None when there is none. Always settled.
        owner: Who decides it. Set before a version with number 0 is linked, and
            looked at only while its number is 0.
    """

    __slots__ = ("number", "older", "owner", "value")

    value: T
    number: int
    older: Version[T] | None
    owner: Numbered | type[NOBODY] | None


class Cell(Generic[T]):
    """One location. Base of Ref, Atom and the atomics.

    Attributes:
        _newest: The version linked last. Written only by the holder, or by who has
            the clock's turn while nobody holds the cell.
        _holder: The status that holds the cell until it is decided; a decided
            one holds nothing. Written only by who has the clock's turn.
        _kept_for: The open points for which the old versions were trimmed last;
            None if not known. A hint, written by whoever trims.
        _sleepers: Who sleeps until it changes (see `_wait`); None while nobody does.
            Replaced with the clock's turn.
        _extras: What only some cells have (name, validator, watches ...); None
            until first needed. The engine looks only whether it is there.
        _home: Where the value lives if that is not here (see `_home`); a slot of
            such classes, None for all others. Never changes.
    """

    __slots__ = (
        "__weakref__",
        "_extras",
        "_holder",
        "_kept_for",
        "_newest",
        "_sleepers",
    )

    _newest: Version[T]
    _holder: Status | None
    _kept_for: Sequence[int] | None
    _sleepers: dict[Any, None] | None
    _extras: Any
    _home: Home | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Refuse another equality: transactions tell cells apart by identity.

        Raises:
            TypeError: The class defines ``__eq__`` or ``__hash__``.
        """
        super().__init_subclass__(**kwargs)
        if cls.__eq__ is not object.__eq__ or cls.__hash__ is not object.__hash__:
            msg = (
                f"{cls.__name__} defines __eq__ or __hash__, but a ref is one shared "
                "location, told apart by identity: compare the values instead"
            )
            raise TypeError(msg)

    def __init__(self, value: T) -> None:
        """Start with `value`, which every snapshot sees, open ones too."""
        version: Version[T] = Version()
        version.value = value
        version.number = INITIAL
        version.older = None
        self._newest = version
        self._holder = None
        self._kept_for = self._sleepers = None
        self._extras = None

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        """Refuse to be copied or pickled: a copy would be another location."""
        msg = (
            f"{self._label()} cannot be copied or pickled: it is one shared location, "
            "and a copy would be another; take its value instead"
        )
        raise TypeError(msg)

    # What the engine asks of a cell that has extras; `ARef` answers.

    def _label(self) -> str:
        """Return what messages call this cell."""
        return f"{type(self).__name__} at {id(self):#x}"

    def _shown(self) -> str:
        """Return what `repr` shows of the value: the latest committed one."""
        return repr(latest(self).value)

    def _admit(self, value: T) -> None:
        """Raise if `value` may not be stored. Called outside every lock."""

    def _committed(self, old: T, new: T) -> None:
        """Hear of a commit. Called after it, outside every lock."""

    def _history_cap(self) -> int | None:
        """Return how many old versions may be kept; None for no limit."""
        return None


def _nowhere() -> Version[Any]:
    version: Version[Any] = Version()
    version.value = version.older = version.owner = None
    version.number = 0
    return version


#: The newest version of each cell that lives elsewhere. Never changes.
NOWHERE: Version[Any] = _nowhere()


def latest(cell: Cell[T]) -> Version[T]:
    """Return the version committed last, settled.

    Cost: O(1), no lock. Repeats only when a commit on this cell finishes in
    between.
    """
    while True:
        version = cell._newest
        if version.number > 0:
            return version
        # `older` is loaded first: if the version is undecided after that, it is what
        # the version lies on; once it is decided, a trim may put another one there.
        older = version.older
        owner = version.owner
        if owner is None:
            if cell._home is not None:
                elsewhere: Version[T] = cell._home.newest(cell)
                return elsewhere
            continue  # it was settled in between
        number = owner.number
        if number > 0:
            settle(version, number)
            return version
        if older is not None and version.number == 0:
            return older


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
