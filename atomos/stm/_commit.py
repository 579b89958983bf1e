"""The commit of one attempt.

::

    ask         the validators
    compute     commutes, each on the newest value
    seize       every cell written; each must still be as this attempt saw it
    link        the new versions: visible, but undecided
    decide      what was read and not written is still newest, in one step with
                the commit point: the clock must not have moved since validation
                began, else validate again
    settle      number the versions, trim what they displaced

User code runs in the first two steps only, before anything is held.

A cell that another attempt holds is waited for only after this one has let go
of everything: its status is aborted, which is one store, and the next round
has a new one. So committers cannot deadlock, and whoever waits for this one
goes on.

Validation does not overlook a commit under way. A version that is linked over
one that was read, and undecided, will get a later number than this commit, if
this one commits first; if it is decided first, the clock has moved.

A commit that was driven back `ROUNDS` times (its cells were held, its commutes
outdated, the clock kept moving) joins the queue of plain blocks. When its turn
comes it holds what it has read and written, waiting where it must, and only
then computes its commutes: nothing can drive it back any more. What it has
read may have changed, though; then it is lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from atomos.errors import TransactionStateError
from atomos.stm._cell import Cell, Version, latest, pending
from atomos.stm._clock import commit_point, finished_point
from atomos.stm._commute import compute
from atomos.stm._footprint import Lost, Restart, Write
from atomos.stm._history import trim
from atomos.stm._hold import hold, take
from atomos.stm._publish import publish_one, publish_two
from atomos.stm._queue import turn
from atomos.stm._snapshots import close_snapshot, open_points
from atomos.stm._status import abort, settle_waiters, undecided, wait_for
from atomos.stm._wait import wake

if TYPE_CHECKING:
    from atomos.stm._status import Status
    from atomos.stm._transaction import Transaction

__all__ = ["Change", "commit"]

#: How often a commit is driven back before it joins the queue.
ROUNDS = 4

#: A cell that was read, and the version seen.
Read = tuple[Cell[Any], Version[Any]]
#: A cell with extras that a commit has changed, its old and its new value.
Change = tuple[Cell[Any], Any, Any]


def commit(tx: Transaction) -> list[Change]:
    """Commit what `tx` has written; it is not running any more.

    Returns:
        The changes of cells that have extras, in order of first write.

    Raises:
        Restart: The attempt is lost; nothing was written.
        ValidationError: A validator refused a value; nothing was written.
        TransactionTimeout: Its deadline passed while it waited.
        TransactionStateError: It cannot be run again, and a part of it was half undone.
        WouldDeadlockError: The calling thread itself holds what is needed.
        BaseException: What a commute's function raised; nothing was written.

    Cost: O(read set + write set); one turn for each cell written, one more
    for the commit point.
    """
    if tx.doomed is not None:
        if not tx.rerunnable:
            msg = f"{tx.label} cannot commit: {tx.doomed}"
            raise TransactionStateError(msg)
        raise Restart(tx.doomed)  # its body has swallowed the signal
    if tx.guest is not None:
        return tx.guest.commit()
    if not tx.fresh:
        close_snapshot(tx, tx.thread)  # what this displaces is not kept for itself
    written = len(tx.writes)
    if written == 0:
        if tx.status is not None:
            abort(tx.status)  # lets go of what it holds
        return []
    if len(tx.view) == written <= 2 and not tx.holding:
        if written == 1:
            if publish_one(tx):
                return []
        elif publish_two(tx):
            return []
    entries = _entries(tx)
    for entry in entries:
        if entry.new is not None and entry.cell._extras is not None:
            entry.cell._admit(entry.new.value)
    if tx.holding:
        _commit_held(tx, entries)
    else:
        reads = _to_validate(tx, len(entries))
        for _ in range(ROUNDS):
            if _commit_freely(tx, entries, reads):
                break
        else:
            _commit_in_turn(tx, entries, reads)
    status = tx.status
    assert status is not None
    if status.waiters is not None:
        settle_waiters(status)
    return _settle(tx, entries, status.number)


def _entries(tx: Transaction) -> list[Write]:
    """Return what is to be committed, in order of first write.

    A signal handler or finalizer that used a cell inside of the transaction, just
    when that was being read or written there, may have left it in `writes` twice, or
    with no version of its own in the view.
    """
    return [
        Write(cell, tx.view[cell])
        for cell in dict.fromkeys(tx.writes)
        if tx.view[cell].number <= 0
    ]


def _to_validate(tx: Transaction, written: int) -> list[Read]:
    """Return what was read and not written, and must be newest at the commit."""
    if tx.serializable:
        if len(tx.view) == written:
            return []
        return [item for item in tx.view.items() if item[1].number > 0]
    if tx.ensured is None:
        return []
    return [(cell, v) for cell in tx.ensured if (v := tx.view[cell]).number > 0]


def _commit_freely(tx: Transaction, entries: list[Write], reads: list[Read]) -> bool:
    """Try to commit without ever waiting while holding.

    Returns:
        False when it was driven back: it holds nothing now.
    """
    _compute_commutes(entries)
    status = tx.status = undecided(tx.thread, tx.label)
    for entry in entries:
        cell = entry.cell
        holder = take(cell, status)
        if holder is not None:
            abort(status)
            wait_for(holder, tx, cell._label())
            return False
        base = cell._newest
        if base is not entry.seen or base.number == 0:
            base = latest(cell)
            if not _accept(tx, entry, base):
                abort(status)
                return False
        entry.base = base
    left = _link(entries, status)
    expected, changed = 0, None
    if reads:
        expected = finished_point()
        changed = _changed(reads)
    if changed is None and commit_point(tx.thread, status, expected):
        return True
    _unlink(entries)
    abort(status)
    del left  # only now, when nothing is held, may displaced values go
    if changed is not None:
        raise tx.lose(Lost.STALE, changed)
    return False


def _accept(tx: Transaction, entry: Write, base: Version[Any]) -> bool:
    """Whether the new version of a held entry may lie on top of `base`.

    Returns:
        False when a commute was computed on what is no longer newest.

    Raises:
        Restart: The cell is not as this attempt saw it.
    """
    if entry.calls is not None:
        return entry.base is base
    if not tx.serializable and not tx.holding and base.number > tx.point:
        raise tx.lose(Lost.OVERTAKEN, entry.cell)
    if entry.seen is not None and entry.seen is not base:
        raise tx.lose(Lost.STALE, entry.cell)
    return True


def _link(entries: list[Write], status: Status) -> list[Version[Any]]:
    """Make the new versions visible, undecided; all cells are held.

    Returns:
        What was unlinked that is no base: left by an attempt that was cut
        short. Its values may go only when nothing is held any more.
    """
    left = []
    for entry in entries:
        new, cell = entry.new, entry.cell
        assert new is not None
        new.older = entry.base
        new.owner = status
        if cell._newest is not entry.base:
            left.append(cell._newest)
        cell._newest = new
    return left


def _unlink(entries: list[Write]) -> None:
    """Take back what `_link` did; all cells are still held."""
    for entry in entries:
        assert entry.base is not None
        entry.cell._newest = entry.base


def _compute_commutes(entries: list[Write]) -> None:
    """Compute each commute anew whose cell has a newer version by now."""
    for entry in entries:
        if entry.calls is not None:
            base = latest(entry.cell)
            if entry.new is None or entry.base is not base:
                new = pending(compute(base.value, entry.calls))
                if entry.cell._extras is not None:
                    entry.cell._admit(new.value)
                entry.new, entry.base = new, base


def _changed(reads: list[Read]) -> Cell[Any] | None:
    """Return the first cell that has changed since it was read, if any."""
    for cell, seen in reads:
        if latest(cell) is not seen:
            return cell
    return None


def _commit_in_turn(tx: Transaction, entries: list[Write], reads: list[Read]) -> None:
    """Commit as a plain block does, waiting while holding."""
    status = tx.status = undecided(tx.thread, tx.label)
    turn(status, tx)
    for cell in [entry.cell for entry in entries] + [cell for cell, _ in reads]:
        hold(cell, status, tx)
    _compute_commutes(entries)
    changed = _changed(reads)
    if changed is not None:
        raise tx.lose(Lost.STALE, changed)
    _commit_held(tx, entries)


def _commit_held(tx: Transaction, entries: list[Write]) -> None:
    """Commit where all that must not change is held."""
    status = tx.status
    assert status is not None
    for entry in entries:
        base = entry.base = latest(entry.cell)
        _accept(tx, entry, base)
    left = _link(entries, status)
    decided = commit_point(tx.thread, status)
    del left  # nothing is held any more
    if not decided:
        msg = f"{tx.label} was given up from outside before it could commit"
        raise TransactionStateError(msg)


def _settle(tx: Transaction, entries: list[Write], number: int) -> list[Change]:
    """Number the new versions, trim what was displaced, return the changes."""
    changes: list[Change] = []
    points = open_points(tx.thread)
    for entry in entries:
        cell, new, base = entry.cell, entry.new, entry.base
        assert new is not None
        assert base is not None
        new.number = number
        new.owner = None
        if cell._extras is not None:
            changes.append((cell, base.value, new.value))
        if cell._sleepers is not None:
            wake(cell)
        if points or base.older is not None:
            trim(cell, new, points)
        else:
            new.older = None
    return changes
