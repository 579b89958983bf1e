"""Old versions of one cell: what is kept, what may go, how it is found.

Exactly those versions are kept that an open snapshot can still read. A version
with number a, followed by one with number b, is needed by read points R with
a <= R < b. The first `CHAIN` of them hang off the newest one (`Version.older`,
and so on); those below lie in a SortedDict at the end of the chain (`Deep`),
which is made when it is first needed: one for each ref on each commit would
halve throughput, and an empty one takes as much memory as 15 versions.

Trimming
--------
`trim` runs after each commit that displaced a version which may be needed, with
read points that were taken after that commit: who opens a snapshot later needs
nothing below it. It takes no lock. What is kept is linked by single stores, from
the newest one down, and a `Deep` is never changed once it is linked, but
replaced. So at each instant, from each version that a reader may stand on, the
way leads to all that is needed below: a store may leave out only what nobody
needs, and what was left out still leads on.

Two trims of one cell may overlap, in two threads or where a finalizer or a signal
handler comes in. Each leaves out only what it knows that nobody needs, so nothing
is lost. One may link again what the other has left out; the next trim drops it.
So does it with what a commit that was cut short has left.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Any, TypeVar

from sortedcontainers import SortedDict

from atomos.stm._cell import Cell, Version, latest
from atomos.stm._registry import my_record
from atomos.stm._snapshots import open_points
from atomos.stm._turn import FREE, NEVER_ENDS, clock, release, turns

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Deep", "check", "count", "read_old", "trim", "trim_all"]

T = TypeVar("T")

#: How many old versions hang off the newest one before the SortedDict is made.
CHAIN = 32
#: How many old versions are trimmed without making a list of them.
SHORT = 8


class Deep(Version[T]):
    """The end of a long chain: all versions from its own number down.

    Attributes:
        versions: number -> value; the greatest number is its own. Never empty,
            and never changed.
    """

    __slots__ = ("versions",)

    versions: SortedDict[int, T]

    def at(self, point: int) -> Version[T] | None:
        """Return the version that `point` sees, if it is here.

        Cost: O(log versions).
        """
        index = self.versions.bisect_right(point)
        if not index:
            return None
        number, value = self.versions.peekitem(index - 1)
        return _settled(number, value)


def _settled(number: int, value: T) -> Version[T]:
    version: Version[T] = Version()
    version.number = number
    version.value = value
    version.older = None
    return version


def _deep(versions: list[Version[T]]) -> Deep[T]:
    """Return the end of a chain, with `versions`, newest first, in it."""
    deep: Deep[T] = Deep()
    deep.number = versions[0].number
    deep.value = versions[0].value
    deep.older = None
    deep.versions = SortedDict((v.number, v.value) for v in reversed(versions))
    return deep


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

    Cost: O(1) where the same snapshots are open as last time, O(p) where another
        thread has found them; else O(h log p) for h old versions up to `SHORT`, and
        O((p + h) log h) for more.
    """
    older = newest.older
    if older is None:
        return
    if cell._extras is None and points:
        if older.number <= points[0]:
            # All see this one or a later one.
            if newest.number <= points[0]:
                newest.older = None
            elif older.older is not None:
                older.older = None
            cell._kept_for = points
            return
        if older.number > points[-1]:
            kept_for = cell._kept_for
            if kept_for is points or kept_for == points:
                newest.older = older.older  # all below are needed, as they were
                return
    if cell._extras is not None or not _trim_short(newest, points):
        _trim_long(cell, newest, points)
    cell._kept_for = points


def _trim_short(newest: Version[Any], points: Sequence[int]) -> bool:
    """Trim a chain of no more than `SHORT` versions.

    Returns:
        False when it is longer, or has a `Deep`; what was left out was not needed.
    """
    left = SHORT
    last, version = newest, newest.older
    # Points from there on see what follows `version`, or a later one.
    end = bisect_left(points, newest.number)
    while end and version is not None:
        below = version.older
        if not left or type(version) is Deep:
            return False
        left -= 1
        start = bisect_left(points, version.number, 0, end)
        if start < end:
            if last.older is not version:
                last.older = version
            last, end = version, start
        version = below
    if last.older is not None:
        last.older = None
    return True


def _trim_long(cell: Cell[T], newest: Version[T], points: Sequence[int]) -> None:
    """Trim any chain, and keep within `max_history`."""
    kept = _needed_versions(newest, points)
    cap = cell._history_cap() if cell._extras is not None else None
    if cap is not None:
        del kept[cap:]
    if len(kept) > CHAIN:
        kept[CHAIN:] = [_deep(kept[CHAIN:])]
    last = newest
    for version in kept:
        last.older = version
        last = version
    last.older = None


def _needed_versions(newest: Version[T], points: Sequence[int]) -> list[Version[T]]:
    """Return the old versions that `points` need, newest first, none of them `Deep`."""
    kept: list[Version[T]] = []
    following, version = newest.number, newest.older
    while version is not None and not isinstance(version, Deep):
        if needed(version.number, following, points):
            kept.append(version)
        following, version = version.number, version.older
    if version is not None:
        found: dict[int, Version[T]] = {}
        for point in points[: bisect_left(points, following)]:
            old = version.at(point)
            if old is not None:
                found[old.number] = old
        kept += reversed(found.values())
    return kept


def _step() -> None:
    """Step the clock past a commit that was seen before the clock showed it.

    Until then who opens a snapshot may take a read point below it, and would not be
    among the points that are looked at now.
    """
    for number in turns:
        try:
            clock.now = number
        finally:
            clock.done = number
            if FREE:
                release()
        return
    raise AssertionError(NEVER_ENDS)


def trim_all(cell: Cell[Any]) -> None:
    """Trim `cell` now, whatever was found last time.

    Cost: as `trim`; one turn while the newest version is being committed.
    """
    newest = latest(cell)
    if newest.number > clock.now:
        _step()
    _trim_long(cell, newest, open_points(my_record()))


def read_old(cell: Cell[T], point: int) -> Version[T] | None:
    """Return the version of `cell` that `point` sees.

    Args:
        cell: Any cell whose newest version is above `point`.
        point: A read point that is open, so that what it needs is kept.

    Returns:
        None when `max_history` has dropped it.

    Cost: O(1) for the version displaced last; no lock; O(versions between) up to
        `CHAIN` of them, then O(log history).
    """
    version = latest(cell).older
    while version is not None:
        if isinstance(version, Deep):
            return version.at(point)
        if version.number <= point:
            break
        version = version.older
    return version


def count(cell: Cell[Any]) -> int:
    """Return how many old versions of `cell` are kept now.

    Cost: O(versions), up to `CHAIN` of them.
    """
    found, version = 0, latest(cell).older
    while version is not None:
        found += len(version.versions) if isinstance(version, Deep) else 1
        version = version.older
    return found


def check(cell: Cell[Any]) -> None:
    """Assert the invariants of the versions of `cell`; for tests, at rest."""
    newest = latest(cell)
    assert newest.number > 0, newest.number
    above, version, length = newest.number, newest.older, 0
    while version is not None:
        assert 0 < version.number < above, (version.number, above)
        if isinstance(version, Deep):
            version.versions._check()  # type: ignore[attr-defined] # not in the stubs
            assert version.versions.keys()[-1] == version.number
            assert version.versions[version.number] is version.value
            assert version.older is None
        above, version, length = version.number, version.older, length + 1
    assert length <= CHAIN + 1, length
    cap = cell._history_cap()
    assert cap is None or count(cell) <= cap, (cap, count(cell))
