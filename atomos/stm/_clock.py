"""The version clock: read point and commit point.

Every commit of every Ref, Atom and atomic takes the next number of one clock.
A snapshot at read point R sees, of each cell, the version with the greatest
number that is not above R.

The protocol
------------
A commit that is about to happen is described by one record with a `number`
slot: the `Status` of a transaction, or the new `Version` itself when an atom
commits alone. All new versions are linked into their cells before the step,
and point at that record, so they become visible together with its number.

The step, under `clock.lock`::

    clock.pending = record  # announce: from here on readers look at it
    record.number = n  # THE COMMIT POINT, one store
    clock.now = n
    clock.pending = None

A reader takes no lock. It looks at `pending` first: if the record has its
number, the commit has happened and the read point is n, although `now` may
still say n - 1. So at every instant the read point is the number of the last
commit point, and a number is never given out before its commit is decided.

A thread that dies by an asynchronous exception in the middle of the step
leaves `pending` set. The record then either has its number (committed) or
not (it never will); the next step repairs `now` from it. No section under
`clock.lock` calls a function or allocates an object that the garbage
collector tracks, so no finalizer, signal handler or other user code can run
there, and the lock cannot be met again by the thread that holds it.

Which old versions may go
-------------------------
`observed` and `fresh` let an atom that commits alone decide in two loads that
nobody can need the version that it displaced. Whoever opens a snapshot sees to
it that `observed` is set when it takes its read point (see `_registry`). A lone
commit that finds it set clears it and notes its own number in `fresh`. So for
every open snapshot at R: `observed` is set, or R < `fresh`. A transaction's
commit does neither: it looks at the buffer of `_registry`.

Where `now` lies
----------------
An int is an object. Without the GIL, on 3.13, to replace one that another thread
has made is work for both: its count of references belongs to the other. So there
`now` is a field of a C structure, which holds bare numbers. In a prototype of this
engine two threads on refs of their own went from 1.3 to 1.5 times the work of one.
"""

from __future__ import annotations

import sys
from _thread import allocate_lock
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from _thread import LockType

if TYPE_CHECKING or getattr(sys, "_is_gil_enabled", lambda: True)():

    class Now:
        """Where the number of the last finished step lies."""

        __slots__ = ("now",)

        now: int

else:
    import ctypes

    class Now(ctypes.Structure):
        """Where the number of the last finished step lies: in bare memory."""

        __slots__ = ()
        _fields_ = (("now", ctypes.c_longlong),)


__all__ = [
    "ABORTED",
    "INITIAL",
    "Numbered",
    "clock",
    "commit_point",
    "read_point",
    "release",
    "taken",
]

#: The number of a version that a cell is made with: every snapshot sees it.
INITIAL = 1
#: The number of a record whose commit will never happen.
ABORTED = -1


class Numbered(Protocol):
    """A record that decides a commit: 0 undecided, > 0 committed, -1 aborted."""

    number: int


class Clock(Now):
    """The clock's fields, one instance for the process.

    Attributes:
        now: Number of the last finished step. Never decreases. Written only
            under `lock`.
        pending: The record whose step is under way, else None. Written only
            under `lock`.
        observed: A snapshot was opened since `fresh` was noted. Set by
            anyone, cleared only under `lock` by a lone commit.
        fresh: Number of the commit that last cleared `observed`. Never
            decreases. Written only under `lock`.
        lock: Guards the step, and is the cell lock of Atoms and atomics.
    """

    __slots__ = ("fresh", "lock", "observed", "pending")

    def __init__(self) -> None:
        self.now = INITIAL
        self.pending: Numbered | None = None
        self.observed: bool = False
        self.fresh: int = INITIAL
        self.lock: LockType = allocate_lock()


clock = Clock()

#: To take the lock where each operation passes: ``for _ in taken: try: ...
#: finally: release()``, then ``break``. It does what ``with clock.lock:`` does in
#: half the time (50 ns of 100 on 3.11). `FOR_ITER` calls `acquire`, and between
#: it and the ``try`` the interpreter looks for no signal, exception or switch.
taken = iter(clock.lock.acquire, False)
release = clock.lock.release
NEVER_ENDS = "a signal handler raised StopIteration where the clock's lock was taken"


def read_point() -> int:
    """Return the number of the last commit point.

    `pending` is loaded before `now`: a step that ends in between has already
    raised `now`.

    Cost: O(1), no lock.
    """
    record = clock.pending
    if record is not None:
        number = record.number
        if number > 0:
            return number
    return clock.now


def commit_point(record: Numbered, expected: int = 0) -> bool:
    """Commit `record` at the next number: the single step all others see.

    Args:
        record: Undecided; all versions that point at it are linked.
        expected: When not 0, commit only if the clock still stands there.
            What was validated after that number was read is then valid at
            the commit point too: validation and commit are one step.

    Returns:
        Whether the commit happened. False also when somebody has aborted
        `record` in the meantime.

    Cost: O(1), one lock.
    """
    with clock.lock:
        left = clock.pending
        if left is not None:
            if left.number > clock.now:
                clock.now = left.number
            clock.pending = None
        if record.number or (expected and clock.now != expected):
            return False
        number = clock.now + 1
        clock.pending = record
        record.number = number
        clock.now = number
        clock.pending = None
    return True
