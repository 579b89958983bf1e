"""Old versions of one cell: what is kept, what may go, how it is found.

Exactly those versions are kept that an open snapshot can still read. The first
`CHAIN` of them hang off the newest one (`Version.older`, and so on); earlier
ones lie in a SortedDict, number -> value, which is made when it is first needed:
one for each ref on each commit would halve throughput, and an empty one takes
as much memory as 15 versions. A version with number a, followed by one with
number b, is needed by read points R with a <= R < b.

`trim` runs after each commit that displaced a version which may be needed. It
is also what repairs: a commit that an asynchronous exception cut short leaves a
chain with versions that nobody needs, and the next trim drops them.

sortedcontainers is not thread-safe, and its calls may let other code of the
same thread in (a finalizer, a signal handler). So the histories have locks of
their own, apart from the cells' locks, and each notes its holder: coming back
raises `WouldDeadlockError` instead of waiting for oneself. A SortedDict that
was left in the middle of a change is built anew from its dict part.
"""

from __future__ import annotations

from _thread import allocate_lock, get_ident
from bisect import bisect_left
from typing import TYPE_CHECKING, Any, TypeVar, cast

from sortedcontainers import SortedDict

from atomos.errors import WouldDeadlockError
from atomos.stm._cell import Cell, Version, latest
from atomos.stm._registry import my_record, open_points

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "History",
    "check",
    "count",
    "guards",
    "read_old",
    "trim",
    "trim_deep",
    "trim_or_leave",
]

T = TypeVar("T")

#: How many old versions hang off the newest one before the SortedDict is made.
CHAIN = 32
#: How many old versions are trimmed without the guard of the cell.
SHORT = 8


class History:
    """The versions of one cell that lie deeper than its chain.

    Attributes:
        versions: number -> value. Touched only under the cell's guard.
        changing: Set while `versions` is being changed; found set, the change
            was cut short, and the order is built anew from the dict part.
    """

    __slots__ = ("changing", "versions")

    def __init__(self) -> None:
        self.versions: SortedDict[int, Any] = SortedDict()
        self.changing = False

    def mend(self) -> None:
        """Put in order what an asynchronous exception left half done."""
        if self.changing:
            # The dict part alone is whole: what a SortedDict adds is an order.
            self.versions = SortedDict(dict.items(cast("Any", self.versions)))
            self.changing = False

    def add(self, number: int, value: object) -> None:
        """Keep `value` as the version with `number`."""
        self.changing = True
        self.versions[number] = value
        self.changing = False

    def floor(self, point: int) -> int | None:
        """Return the greatest number that is not above `point`, if any."""
        index = self.versions.bisect_right(point)
        return self.versions.keys()[index - 1] if index else None

    def keep_only(self, points: Sequence[int], cap: int | None) -> list[object]:
        """Drop what none of `points` can read, and the oldest beyond `cap`.

        Returns:
            The dropped values, for the caller to let go of outside the lock.

        Cost: O((p + h) log h) for p points and h versions.
        """
        wanted = {self.floor(point) for point in points}
        numbers = list(self.versions)
        kept = [number for number in numbers if number in wanted]
        if cap is not None:
            kept = kept[max(len(kept) - cap, 0) :]
        keep = set(kept)
        self.changing = True
        dropped = [self.versions.pop(n) for n in numbers if n not in keep]
        self.changing = False
        return dropped


class Guard:
    """A lock that knows who holds it; shared by the histories of many cells."""

    __slots__ = ("holder", "lock")

    def __init__(self) -> None:
        self.lock = allocate_lock()
        self.holder = 0

    def refuse_reentry(self, ident: int) -> None:
        """Raise if the caller's thread is inside already."""
        if self.holder == ident:
            msg = (
                "a finalizer, signal handler or trace function needs the history of "
                "a ref while its own thread is changing it; read refs there with "
                "deref() outside a transaction instead"
            )
            raise WouldDeadlockError(msg)


guards = [Guard() for _ in range(64)]


def _guard(cell: Cell[Any]) -> Guard:
    return guards[(id(cell) >> 4) % len(guards)]


def needed(number: int, following: int, points: Sequence[int]) -> bool:
    """Whether one of `points`, in order, lies from `number` to before `following`."""
    return bisect_left(points, number) < bisect_left(points, following)


def trim(cell: Cell[T], newest: Version[T], points: Sequence[int]) -> None:
    """Keep of the old versions of `cell` exactly those that are needed.

    Args:
        cell: Any cell.
        newest: A version committed on it.
        points: Read points of all open snapshots, in order, taken after `newest`
            was seen committed: a snapshot opened later needs nothing older.

    Raises:
        WouldDeadlockError: Called again from within itself by one thread.

    Cost: O(1) where the same snapshots are open as last time; O(h log p) for h
        old versions up to `SHORT`, else O((p + h) log h).
    """
    older = newest.older
    if older is None:
        if cell._history is not None:
            trim_deep(cell)
        return
    if points and older.number > points[-1] and cell._kept_for is points:
        newest.older = older.older  # all below are needed, as they were
        return
    length, version = 1, older.older
    while version is not None and length <= SHORT:
        length, version = length + 1, version.older
    if length > SHORT or cell._history is not None or cell._extras is not None:
        cell._kept_for = None
        trim_deep(cell)
    else:
        _trim_short(newest, points)
        cell._kept_for = points


def _trim_short(newest: Version[Any], points: Sequence[int]) -> None:
    """Trim a chain without the guard, by single stores.

    At each instant all that is needed can be reached from `newest`; what is taken
    out still leads on. If another thread trims the same chain, each may link again
    what the other has dropped, which the next trim repairs.
    """
    last, following, version = newest, newest.number, newest.older
    while version is not None:
        below = version.older
        if needed(version.number, following, points):
            if last.older is not version:
                last.older = version
            last = version
        following, version = version.number, below
    if last.older is not None:
        last.older = None


def trim_or_leave(cell: Cell[T], newest: Version[T], points: Sequence[int]) -> None:
    """Trim after a commit; from within a trim of this thread, leave it be.

    What stays then is trimmed with the next commit on the cell.
    """
    try:
        trim(cell, newest, points)
    except WouldDeadlockError:
        pass


def trim_deep(cell: Cell[Any]) -> None:
    """Trim chain and history of `cell` with points taken under its guard."""
    guard, ident = _guard(cell), get_ident()
    guard.refuse_reentry(ident)
    dropped: list[object] = []
    with guard.lock:
        guard.holder = ident
        try:
            newest = latest(cell)
            _trim_chain(cell, newest, open_points(my_record()), dropped)
        finally:
            guard.holder = 0
    # `dropped` is let go of here, outside the lock.


def _trim_chain(
    cell: Cell[T], newest: Version[T], points: Sequence[int], dropped: list[object]
) -> None:
    """Bring chain and history in order; the guard is held."""
    cap = cell._history_cap() if cell._extras is not None else None
    kept: list[Version[T]] = []
    following, version = newest.number, newest.older
    while version is not None:
        wanted = needed(version.number, following, points)
        (kept if wanted else dropped).append(version)
        following, version = version.number, version.older
    if cap is not None:
        dropped += kept[cap:]
        del kept[cap:]
    history = cell._history
    if history is not None:
        history.mend()
    elif len(kept) > CHAIN:
        history = cell._history = History()
    if history is not None:
        for version in kept[CHAIN:]:
            history.add(version.number, version.value)
        dropped += kept[CHAIN:]
        del kept[CHAIN:]
    # Cut only now: at each instant, chain and history have all that is kept.
    last = newest
    for version in kept:
        last.older = version
        last = version
    last.older = None
    if history is not None:
        below = [point for point in points if point < last.number]
        dropped += history.keep_only(below, None if cap is None else cap - len(kept))
        if not history.versions:
            cell._history = None


def read_old(cell: Cell[T], point: int) -> tuple[int, T] | None:
    """Return number and value of the version of `cell` that `point` sees.

    Args:
        cell: Any cell whose newest version is above `point`.
        point: A read point that is open, so that what it needs is kept.

    Returns:
        None when `max_history` has dropped it.

    Raises:
        WouldDeadlockError: Called from within a change of the same history.

    Cost: O(1) for the version displaced last, else one lock and O(log h).
    """
    version = latest(cell).older
    if version is not None and version.number <= point:
        return version.number, version.value
    guard, ident = _guard(cell), get_ident()
    guard.refuse_reentry(ident)
    with guard.lock:
        guard.holder = ident
        try:
            return _find(cell, point)
        finally:
            guard.holder = 0


def _find(cell: Cell[T], point: int) -> tuple[int, T] | None:
    """Look through chain and history; the guard is held."""
    version: Version[T] | None = latest(cell)
    while version is not None:
        if version.number <= point:
            return version.number, version.value
        version = version.older
    history = cell._history
    if history is None:
        return None
    history.mend()
    number = history.floor(point)
    return None if number is None else (number, history.versions[number])


def count(cell: Cell[Any]) -> int:
    """Return how many old versions of `cell` are kept now."""
    guard, ident = _guard(cell), get_ident()
    guard.refuse_reentry(ident)
    with guard.lock:
        guard.holder = ident
        try:
            found, version = 0, latest(cell).older
            while version is not None:
                found, version = found + 1, version.older
            history = cell._history
            return found + (0 if history is None else len(history.versions))
        finally:
            guard.holder = 0


def check(cell: Cell[Any]) -> None:
    """Assert the invariants of the versions of `cell`; for tests, at rest."""
    newest = latest(cell)
    assert newest.number > 0, newest.number
    above, version = newest.number, newest.older
    while version is not None:
        assert 0 < version.number < above, (version.number, above)
        above, version = version.number, version.older
    history = cell._history
    if history is not None:
        history.mend()  # as every use of it does
        history.versions._check()  # type: ignore[attr-defined] # not in the stubs
        assert history.versions, "an empty history is not kept"
        assert history.versions.keys()[-1] < above
    cap = cell._history_cap()
    assert cap is None or count(cell) <= cap, (cap, count(cell))
