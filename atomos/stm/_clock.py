"""The version clock: read point and commit point.

Every commit of every Ref, Atom and atomic has a number of one clock. A snapshot
at read point R sees, of each cell, the version with the greatest number that is
not above R.

The steps
---------
A commit that is about to happen is described by one record with a `number`
slot, the `Status` of a transaction or one of its new versions. All its versions
are linked into their cells first, and point at that record, so they become
visible together with its number::

    clock.step = number  # announce: from here on readers look for `pending`
    thread.pending = record
    record.number = number  # THE COMMIT POINT, one store
    clock.now = number
    thread.pending = None

A reader takes no turn. While `step` is above `now` it looks at the `pending` of each
thread: if a record has a number above `now`, that commit has happened, and the read
point is its number. So at every instant the read point is the number of the last
commit point. A thread that is cut short in the middle leaves its `pending` set; the
numbers that follow are higher, and it is not looked at any more. (One `pending` in
the clock would do. But without the GIL an object that each commit of every thread
stores is another 300 ns.)

A commit of one cell is simpler, for it can be linked by the store that decides::

    clock.now = version.number = number
    cell._newest = version  # THE COMMIT POINT, one store

Who takes a read point in between has `number`, and may still read what was
there before. To such a snapshot the commit comes later, which is as true, since
nothing else has that number, and each transaction reads a cell once. But who
validates may not take this for a finished step: see `finished_point`.

Which old versions may go
-------------------------
`observed` and `fresh` let an atom that commits alone decide in a few loads that
nobody can need the version that it displaced. Whoever opens a snapshot sees to
it that `observed` is set when it takes its read point (see `_snapshots`). A lone
commit that finds it set clears it and notes its own number in `fresh`, before
it steps `now`. So for every open snapshot at R: `observed` is set, or
R < `fresh`. A transaction's commit does neither: it looks at the buffer of
`_registry`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from atomos.stm._registry import registry
from atomos.stm._turn import FREE, NEVER_ENDS, clock, release, turns

if TYPE_CHECKING:
    from atomos.stm._registry import ThreadRecord
    from atomos.stm._turn import Numbered

__all__ = ["ABORTED", "commit_point", "finished_point", "read_point"]

#: The number of a record whose commit will never happen.
ABORTED = -1


def read_point() -> int:
    """Return the number of the last commit point.

    `step` and `pending` are loaded before the last look at `now`: a step that ends
    in between has already raised `now`. A commit point that was passed before the
    call began is not overlooked: its thread's `pending` is still set, or `now` is up
    to it.

    Cost: O(1), no turn; O(threads) while a step is under way.
    """
    c = clock
    announced = 0
    if c.step > c.now:
        for thread in registry.records:
            record = thread.pending
            if record is not None and record.number > announced:
                announced = record.number
    now = c.now
    return announced if announced > now else now


def finished_point() -> int:
    """Return the number of the last commit, when all of that commit can be seen.

    Cost: O(1); one turn while a step is under way.
    """
    c = clock
    while True:
        now = c.now
        if c.done >= now:
            return now
        for number in turns:
            c.done = number
            if FREE:
                release()
            break


def commit_point(thread: ThreadRecord, record: Numbered, expected: int = 0) -> bool:
    """Commit `record` at the next number: the single step all others see.

    Args:
        thread: The calling thread's.
        record: Undecided; all versions that point at it are linked.
        expected: When not 0, commit only if the clock still stands there.
            What was validated after `finished_point` gave it is then valid at
            the commit point too: validation and commit are one step.

    Returns:
        Whether the commit happened. False also when somebody has aborted
        `record` in the meantime.

    Cost: O(1), one turn.
    """
    c = clock
    for number in turns:
        try:
            if record.number or (expected and c.now != expected):
                return False
            c.step = number
            thread.pending = record
            record.number = number
            c.now = number
            thread.pending = None
        finally:
            c.done = number
            if FREE:
                release()
        return True
    raise AssertionError(NEVER_ENDS)
