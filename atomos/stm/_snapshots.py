"""Snapshots: which read points are open, so that what they can read is kept.

A thread's number in the buffer (`_registry`) is 0 while it has no snapshot open, the
read point if it has one, `MANY` if its list must be looked at. A commit compares the
buffer with zeros; in most cases that is all.

Opening a snapshot, without a lock::

    set `observed`
    R = read point
    put R into the buffer and into the list
    again, if `observed` was cleared or the clock has moved meanwhile

The last line closes the gap in which a commit at n > R looked at the buffer
before R stood there: then the clock has moved, for a commit looks after it has
stepped the clock. It also keeps the invariant on `observed` and `fresh` that
`_clock` states: R stands in the buffer while `observed` is set, so whoever
clears it notes a number above R.
"""

from __future__ import annotations

from _thread import get_ident
from typing import TYPE_CHECKING

from atomos.stm._clock import read_point
from atomos.stm._registry import MANY, buffer, numbers, registry
from atomos.stm._turn import FREE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from atomos.stm._registry import Snapshot, ThreadRecord

__all__ = ["close_snapshot", "open_points", "open_snapshot"]


def open_snapshot(snapshot: Snapshot, record: ThreadRecord) -> None:
    """Give `snapshot` the current read point, and keep what it can read.

    Args:
        snapshot: Not open yet.
        record: The calling thread's.

    Cost: O(1), no lock; repeated while other threads commit in between.
    """
    c = record.clock
    if not c.observed:
        c.observed = True
    step = c.step
    point = c.now
    if step > point:
        point = read_point()
    snapshot.point = point
    snapshots = record.snapshots
    if snapshots:
        # An asynchronous exception may have kept one from being closed.
        snapshots[:] = [one for one in snapshots if one.running]
    record.mine[0] = MANY if snapshots else point
    snapshots.append(snapshot)
    if c.now == point and c.observed:
        return
    while not (c.observed and read_point() == point):
        c.observed = True
        point = snapshot.point = read_point()
        record.mine[0] = MANY if len(snapshots) > 1 else point
        # Locks the list: without the GIL, the clock must not be read before that.
        snapshots[-1] = snapshot


def close_snapshot(snapshot: Snapshot, record: ThreadRecord) -> None:
    """Stop keeping what `snapshot` can read, if it is open.

    A generator may end a transaction in a thread that did not begin it; then
    the other thread's list is changed, which is as safe: single calls, and
    snapshots compare by identity, so no user code runs.
    """
    here = record.ident == get_ident()
    # No call from here to the store: a signal handler that opens a snapshot drops this
    # one from the list, and leaves that empty.
    snapshots = record.snapshots
    if snapshots:
        try:
            if here and snapshots[0] is snapshots[-1] is snapshot:
                record.mine[0] = 0
            else:
                record.mine[0] = MANY
            snapshots.remove(snapshot)
        except (IndexError, ValueError):
            pass  # it is not open, or another thread has just taken one out


def open_points(record: ThreadRecord) -> Sequence[int]:
    """Return the read points of all open snapshots, in order.

    Called after the clock was stepped, so that nobody who opens one later needs
    what was displaced.

    Args:
        record: The calling thread's.

    Returns:
        The same object as last time while nothing has changed.

    Cost: O(threads), no lock; O(threads + open snapshots) where one has several.
    """
    points = record.copied() if FREE else buffer
    if points == record.none_open:
        return ()
    if points == record.raw:
        return record.found
    raw = bytes(points)
    found = sorted(filter(None, numbers(raw)[: registry.places].tolist()))
    if found and found[0] == MANY:
        return _all_points()
    record.raw, record.found = raw, found
    return found


def _all_points() -> list[int]:
    """As `open_points`, by looking at each thread's list."""
    points: list[int] = []
    for record in registry.records:
        if record.snapshots and not record.dead:
            for snapshot in record.snapshots.copy():
                if snapshot.running:
                    points.append(snapshot.point)
    return sorted(points)
