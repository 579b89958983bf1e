"""Who is running: a record per thread, and the snapshots each has open.

A shared dict of running transactions would be written at each begin and end by
every thread, and on a free-threaded build each such write waits for a cache
line. So each thread has a record of its own, with a list that only it appends
to and removes from. `open_points` reads all of them; commits call it only when
the clock says that a snapshot may need what they displaced.

Opening a snapshot, without a lock::

    clock.observed = True
    R = read point
    put R where `open_points` finds it
    again, if `observed` was cleared or the clock has moved meanwhile

The last line closes the gap in which a commit at n > R looked at the records
before R stood there: then the clock has moved. It also keeps the invariant on
`observed` and `fresh` that `_clock` states: R stands in the record while
`observed` is set, so whoever clears it notes a number above R.

A record dies with its thread: the only strong reference to its token is in
that thread's `threading.local`, and the token's weak reference marks the
record. Thread idents are reused, so an ident alone would not do. After a fork
the records of all other threads are marked dead in the child.
"""

from __future__ import annotations

import threading
import weakref
from _thread import allocate_lock, get_ident
from typing import Protocol

from atomos.stm._clock import clock, read_point

__all__ = [
    "Snapshot",
    "ThreadRecord",
    "close_snapshot",
    "my_record",
    "open_points",
    "open_snapshot",
]


class Snapshot(Protocol):
    """A read point that keeps the versions it can read.

    Attributes:
        point: The read point; never decreases.
        running: False once its transaction has ended.
    """

    point: int
    running: bool


class ThreadRecord:
    """What the others may know of one thread.

    Attributes:
        ident: The thread's ident, while it lives.
        snapshots: Open snapshots. Changed only by the thread itself, in
            single calls; others copy it.
        dead: The thread has ended, or did not survive a fork. Never reset.
    """

    __slots__ = ("__weakref__", "dead", "ident", "snapshots", "token")

    def __init__(self) -> None:
        self.ident = get_ident()
        self.snapshots: list[Snapshot] = []
        self.dead = False
        self.token: weakref.ref[_Token] | None = None


class _Token:
    """Lives as long as the thread whose `threading.local` holds it."""

    __slots__ = ("__weakref__", "record")

    def __init__(self, record: ThreadRecord) -> None:
        self.record = record


class _Local(threading.local):
    token: _Token | None = None


class _Registry:
    """All records. `records` is replaced as a whole, under `lock`."""

    __slots__ = ("lock", "records")

    def __init__(self) -> None:
        self.records: tuple[ThreadRecord, ...] = ()
        self.lock = allocate_lock()


_local = _Local()
_registry = _Registry()


def _replace(before: tuple[ThreadRecord, ...], after: tuple[ThreadRecord, ...]) -> bool:
    """Swap the tuple if nobody else did; no call happens under the lock."""
    with _registry.lock:
        if _registry.records is before:
            _registry.records = after
            return True
    return False


def _register() -> ThreadRecord:
    """Make this thread's record, and drop those of threads that have ended."""
    record = ThreadRecord()
    token = _Token(record)

    def ended(_: weakref.ref[_Token]) -> None:
        record.dead = True

    record.token = weakref.ref(token, ended)
    while True:
        before = _registry.records
        alive = [other for other in before if not other.dead]
        if _replace(before, (*alive, record)):
            break
    _local.token = token
    return record


def my_record() -> ThreadRecord:
    """Return the calling thread's record, made at its first call.

    Cost: one `threading.local` lookup.
    """
    token = _local.token
    return token.record if token is not None else _register()


def open_snapshot(snapshot: Snapshot, record: ThreadRecord) -> None:
    """Give `snapshot` the current read point, and keep what it can read.

    Args:
        snapshot: Not open yet.
        record: The calling thread's.

    Cost: O(1), no lock; repeated while other threads commit in between.
    """
    clock.observed = True
    point = clock.now if clock.pending is None else read_point()
    snapshot.point = point
    snapshots = record.snapshots
    if snapshots:
        # An asynchronous exception may have kept one from being closed.
        snapshots[:] = [one for one in snapshots if one.running]
    snapshots.append(snapshot)
    # A commit looks at the records after it has set `now`.
    if clock.now == point and clock.observed:
        return
    while not (clock.observed and read_point() == point):
        clock.observed = True
        point = snapshot.point = read_point()


def close_snapshot(snapshot: Snapshot, record: ThreadRecord) -> None:
    """Stop keeping what `snapshot` can read, if it is open.

    A generator may end a transaction in a thread that did not begin it; then
    the other thread's list is changed, which is as safe: single calls, and
    snapshots compare by identity, so no user code runs.
    """
    snapshots = record.snapshots
    if snapshots and snapshot in snapshots:
        snapshots.remove(snapshot)


def open_points() -> list[int]:
    """Return the read points of all open snapshots, in no order.

    Cost: O(threads + open snapshots), no lock.
    """
    points: list[int] = []
    for record in _registry.records:
        if record.snapshots and not record.dead:
            for snapshot in record.snapshots.copy():
                if snapshot.running:
                    points.append(snapshot.point)
    return points


def forget_other_threads() -> None:
    """In the child of a fork: only the calling thread lives on."""
    mine = my_record()
    for record in _registry.records:
        if record is not mine:
            record.dead = True
    _registry.lock = allocate_lock()
    _registry.records = (mine,)
