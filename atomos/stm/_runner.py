"""Attempts until one commits: options, joining, contention.

An attempt that is lost is made anew at once: what it lost to has committed, so
there is nothing to back off from, and where a commit is still under way it has
been waited for already. After `ESCALATE_AFTER` lost attempts the next one
takes its turn in the queue of plain blocks and holds what it touches; it
cannot lose.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from atomos.errors import HistoryLostError, IsolationError, TransactionAborted
from atomos.stm._clock import ABORTED
from atomos.stm._commit import commit
from atomos.stm._owner import current
from atomos.stm._queue import turn
from atomos.stm._registry import close_snapshot
from atomos.stm._status import Patience, Status, settle_waiters
from atomos.stm._transaction import Lost, Restart, Transaction, inside

if TYPE_CHECKING:
    from collections.abc import Callable

    from atomos.stm._commit import Change
    from atomos.stm._owner import Owner

__all__ = ["Options", "Run", "finish", "join", "notify", "run"]

R = TypeVar("R")

#: Attempts that a transaction may lose before it runs as a plain block does.
ESCALATE_AFTER = 8
#: Attempts after which a read_only transaction, which may hold nothing, stops
#: running after a ref whose `max_history` drops what it needs.
HISTORY_ATTEMPTS = 100

ISOLATIONS = ("serializable", "snapshot")


class Options(NamedTuple):
    """The checked arguments of one `dosync`."""

    isolation: str | None = None
    read_only: bool = False
    timeout: float | None = None
    max_attempts: int | None = None
    name: str | None = None

    def deadline(self) -> float | None:
        """Return when a call that begins now must be over."""
        return None if self.timeout is None else monotonic() + self.timeout


def make_options(
    isolation: str | None,
    read_only: bool,
    timeout: float | None,
    max_attempts: int | None,
    name: str | None,
) -> Options:
    """Check the arguments of `dosync`.

    Raises:
        ValueError: One of them has a value that is not allowed.
    """
    if isolation is not None and isolation not in ISOLATIONS:
        msg = f"isolation must be 'serializable' or 'snapshot', not {isolation!r}"
        raise ValueError(msg)
    if timeout is not None and not timeout >= 0:
        msg = f"timeout must be a number of seconds from 0 on, or None, not {timeout!r}"
        raise ValueError(msg)
    if max_attempts is not None and not max_attempts >= 1:
        msg = f"max_attempts must be a whole number from 1 on, or None, not {max_attempts!r}"
        raise ValueError(msg)
    return Options(isolation, bool(read_only), timeout, max_attempts, name)


class Run(Patience):
    """The attempts of one transaction.

    Attributes:
        options: What was asked for.
        serializable: The isolation in force.
        updates: A former attempt has written. Never reset.
        max_attempts: The limit in force, nested ones included.
    """

    __slots__ = ("max_attempts", "options", "serializable", "updates")

    def __init__(self, options: Options, label: str) -> None:
        super().__init__(label, options.deadline())
        self.options = options
        self.serializable = options.isolation != "snapshot"
        self.updates = False
        self.max_attempts = options.max_attempts

    def attempt(self, rerunnable: bool) -> Transaction:
        """Return the next attempt, not begun yet.

        Raises:
            TransactionAborted: There may be no more attempts.
            TransactionTimeout: The deadline has passed.
            HistoryLostError: A read_only one cannot win.
        """
        if self.attempts:
            self._may_go_on()
        self.attempts += 1
        return Transaction(
            self, self.serializable, self.options.read_only, rerunnable
        )

    def _may_go_on(self) -> None:
        if self.deadline is not None and monotonic() >= self.deadline:
            raise self.timed_out(self.lost_to)
        if self.max_attempts is not None and self.attempts >= self.max_attempts:
            msg = (
                f"{self.label} lost {self.attempts} attempts, as many as max_attempts "
                f"allows; lost to: {self.lost_to}. Raise max_attempts, or make the "
                "transaction shorter"
            )
            raise TransactionAborted(msg, self.attempts, self.lost_to)
        if self.options.read_only and self.attempts >= HISTORY_ATTEMPTS:
            msg = (
                f"{self.label} ran {self.attempts} times, and each time "
                f"{self.lost_to}: raise max_history of that ref"
            )
            raise HistoryLostError(msg)

    def begin(self, tx: Transaction) -> None:
        """Start `tx`; one that holds first waits for its turn.

        Raises:
            WouldDeadlockError: This thread runs a plain block already.
            TransactionTimeout: The deadline passed first.
        """
        status = None
        if not tx.read_only and (
            not tx.rerunnable or self.attempts > ESCALATE_AFTER
        ):
            status = tx.status = Status(tx.thread, self.label)
            turn(status, self)
        tx.begin(self.updates, status)

    def lost(self, tx: Transaction) -> None:
        """Learn from an attempt that was lost."""
        self.lost_to = tx.doomed
        if tx.updates:
            self.updates = True


def run(
    options: Options,
    label: str,
    fn: Callable[..., R],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> R:
    """Run `fn` as one transaction until it commits; return its value.

    Raises:
        BaseException: What `fn`, a commute or a validator raised, and what
            `Run.attempt` and `Run.begin` raise.
    """
    outer = inside()
    if outer is not None:
        was_read_only = join(outer, options)
        try:
            return fn(*args, **kwargs)
        finally:
            outer.read_only = was_read_only
    attempts = Run(options, label)
    before = current.get()
    while True:
        tx = attempts.attempt(rerunnable=True)
        try:
            attempts.begin(tx)
            current.set(tx)
            value = fn(*args, **kwargs)
            # From here on we are outside: a finalizer or a signal handler that
            # runs while the commit is under way must not join it.
            current.set(before)
            if tx.doomed is None:
                changes = commit(tx)
                break
        except Restart:
            if tx.doomed is None:
                raise
        except Exception:
            if tx.doomed is None:
                raise
        finally:
            finish(tx, before)
        attempts.lost(tx)
    if changes:
        notify(changes)
    return value


def finish(tx: Transaction, before: Owner | None) -> None:
    """End `tx` if it has not ended: one store decides it, whatever follows.

    Args:
        tx: Any attempt, begun or not.
        before: What was current before it.
    """
    tx.running = False
    status = tx.status
    if status is not None:
        if status.number == 0:
            status.number = ABORTED
        settle_waiters(status)
    current.set(before)
    close_snapshot(tx, tx.thread)


def join(tx: Transaction, options: Options) -> bool:
    """Make a nested call part of the running transaction `tx`.

    Returns:
        Whether `tx` was read_only; to be put back when the nested call ends.

    Raises:
        IsolationError: The nested call asks for more than is running.
    """
    was_read_only = tx.read_only
    attempts = tx.patience
    if options.isolation == "serializable" and not (tx.serializable or tx.holding):
        msg = (
            f"{options.name or 'a nested dosync'} asks for isolation='serializable' "
            f"inside of {tx.patience.label}, which runs with isolation='snapshot': "
            "give the outer one the stronger isolation"
        )
        raise IsolationError(msg)
    if options.timeout is not None:
        deadline = options.deadline()
        if attempts.deadline is None or deadline < attempts.deadline:
            attempts.deadline = deadline
    if options.read_only:
        tx.read_only = True
    return was_read_only


def notify(changes: list[Change]) -> None:
    """Tell each changed cell that has extras, after the commit."""
    for cell, old, new in changes:
        cell._committed(old, new)
