"""Attempts until one commits: running a function, joining, ending.

An attempt that is lost is made anew at once: what it lost to has committed, so
there is nothing to back off from, and where a commit is still under way it has
been waited for already. After `ESCALATE_AFTER` lost attempts the next one
takes its turn in the queue of plain blocks and holds what it touches; it
cannot lose.
"""

from __future__ import annotations

import sys
from _thread import get_ident
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from atomos.errors import IsolationError
from atomos.stm._clock import ABORTED
from atomos.stm._commit import commit
from atomos.stm._footprint import Restart
from atomos.stm._handle import run_before_commit
from atomos.stm._inside import inside
from atomos.stm._journal import AFTER_COMMIT, run_hooks
from atomos.stm._part import begin_part, run_part
from atomos.stm._registry import MANY
from atomos.stm._run import DEFAULT
from atomos.stm._seat import new_seat, run_over, seated, seats
from atomos.stm._snapshots import close_snapshot
from atomos.stm._status import settle_waiters
from atomos.stm._transaction import Transaction
from atomos.stm._turn import FREE
from atomos.stm._wait import wake_all

if TYPE_CHECKING:
    from collections.abc import Callable

    from atomos.stm._commit import Change
    from atomos.stm._journal import Journal
    from atomos.stm._run import Options
    from atomos.stm._seat import Seat

__all__ = [
    "commit_number",
    "finish",
    "join",
    "notify",
    "rolled_back",
    "take_journal",
    "transactional",
]

P = ParamSpec("P")
R = TypeVar("R")


def transactional(options: Options, label: str, fn: Callable[P, R]) -> Callable[P, R]:
    """Return `fn` as a function that runs as one transaction until it commits.

    That raises what `fn`, a commute or a validator raises, and what
    `Transaction.begin` and `commit` raise.
    """
    # One cell of the closure, and in it nothing whose count of references two threads
    # would share without the GIL: such strings and functions have none there.
    made = (sys.intern(label), fn, None if options is DEFAULT else options)

    def transaction(*args: P.args, **kwargs: P.kwargs) -> R:
        label, fn, special = made
        try:
            seat: Seat = seats[get_ident()]
        except KeyError:
            seat = new_seat()
        if seat.tx is not None:
            outer = inside()
            if outer is not None:
                return run_inside(outer, special or DEFAULT, label, fn, args, kwargs)
            if seat.tx is not None:
                # Made anew: a function that has itself in its closure dies late.
                again = transactional(special or DEFAULT, label, fn)
                return run_over(seat, again, *args, **kwargs)
        tx = seat.spare
        if tx is None or special is not None:
            tx = Transaction()
            tx.start(special or DEFAULT, label, seat.thread, True)
        else:
            seat.spare = None
            tx.label = label
        while True:
            try:
                tx.begin()
                if not FREE:
                    seated[seat] = None
                seat.tx = tx
                # Passing nothing on saves 30 ns.
                value = (
                    fn(*args, **kwargs) if kwargs else fn(*args)  # type: ignore[call-arg] # kwargs is empty
                )
                journal = tx.journal
                if journal is not None:
                    run_before_commit(tx)
                # From here on we are outside: a finalizer, a signal handler or a
                # validator that runs while the commit is under way must not join it.
                tx.running = False
                seat.tx = None
                if not FREE:
                    del seated[seat]
                changes = commit(tx)
                if (
                    special is None
                    and journal is None
                    and tx.attempts == 1
                    and tx.status is None
                    and tx.stale is None
                    and tx.deadline is None
                ):
                    # All else is as `start` has left it.
                    tx.attempts = 0
                    tx.updates = False
                    tx.read_only = False  # a part of it may still be open
                    tx.view = {}
                    tx.writes = []
                    seat.spare = tx
                break
            except BaseException as error:
                # Plain stores first: an asynchronous exception may hit a call.
                tx.running = False
                status = tx.status
                seat.tx = None
                if status is not None and status.number == 0:
                    status.number = ABORTED
                if tx.thread.snapshots:
                    tx.thread.mine[0] = MANY  # until `finish` knows
                try:
                    if not FREE:
                        seated.pop(seat, None)
                    finish(tx)
                except BaseException:
                    finish(tx)  # again: it was cut short
                    rolled_back(tx)
                    raise
                if tx.doomed is None or not isinstance(error, (Restart, Exception)):
                    rolled_back(tx)
                    raise
        if changes or journal is not None:
            notify(changes, journal)
        return value

    return transaction


def run_inside(
    outer: Transaction,
    options: Options,
    label: str,
    fn: Callable[P, R],
    args: Any,
    kwargs: Any,
) -> R:
    """Run `fn` as a part of the running transaction `outer`, undone if it raises."""
    part = begin_part(outer, join(outer, options, label))
    return run_part(outer, part, fn, args, kwargs)


def finish(tx: Transaction) -> None:
    """End the attempt if it has not ended: one store decides all it holds.

    Args:
        tx: Any attempt, begun or not.
    """
    tx.running = False
    status, thread = tx.status, tx.thread
    if status is not None and status.number == 0:
        status.number = ABORTED
    if thread.snapshots:
        thread.mine[0] = MANY  # until we know
    if status is not None and status.waiters is not None:
        settle_waiters(status)
    if thread.snapshots:
        close_snapshot(tx, thread)
    if tx.guest is not None:
        tx.guest.leave()
    if commit_number(tx):
        # It may have been cut short between its commit and the waking.
        wake_all(tx.writes)
        if tx.journal is not None:
            tx.journal.due = AFTER_COMMIT


def commit_number(tx: Transaction) -> int:
    """Return the number of the commit of `tx`, which has ended.

    Returns:
        0 if it has not committed, or has written nothing.
    """
    if tx.doomed is not None or not tx.writes:
        return 0
    if tx.status is not None:
        return max(tx.status.number, 0)
    # The short way: the first new version decides all of them. What was only read
    # is not above the read point.
    first = tx.view.get(tx.writes[0])
    return first.number if first is not None and first.number > tx.point else 0


def join(tx: Transaction, options: Options, label: str) -> bool | str:
    """Make a nested call part of the running transaction `tx`.

    Args:
        tx: The transaction.
        options: What the nested call asks for.
        label: What messages call it.

    Returns:
        What `tx.read_only` was; to be put back when the nested call ends.

    Raises:
        IsolationError: The nested call asks for more than is running.
    """
    was_read_only = tx.read_only
    if options.isolation == "serializable" and not (tx.serializable or tx.holding):
        msg = (
            f"{label} asks for isolation='serializable' "
            f"inside of {tx.label}, which runs with isolation='snapshot': give the "
            "outer one the stronger isolation"
        )
        raise IsolationError(msg)
    if options.timeout is not None:
        tx.expect_no_later_than(options.timeout)
    if options.read_only and not was_read_only:
        tx.read_only = label
    return was_read_only


def notify(changes: list[Change], journal: Journal | None) -> None:
    """Tell each changed cell that has extras, after the commit; then run hooks."""
    try:
        for cell, old, new in changes:
            cell._committed(old, new)
    finally:
        if journal is not None:
            run_hooks(journal, AFTER_COMMIT)


def rolled_back(tx: Transaction) -> None:
    """Run the hooks of a transaction that an exception has ended for good.

    One from outside may come in when it has just committed.
    """
    journal = take_journal(tx)
    if journal is not None:
        run_hooks(journal, journal.due)


def take_journal(tx: Transaction) -> Journal | None:
    """Return the journal of a transaction that has ended, which keeps it no longer."""
    journal, tx.journal = tx.journal, None
    return journal
