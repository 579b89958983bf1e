"""Telling listeners of each attempt, by wrapping what begins and ends them.

While anybody listens, the functions that begin and end attempts and those that wait are
wrapped (see `_seams`); when the last one stops they are as they were.
"""

from __future__ import annotations

import sys
from _thread import allocate_lock
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from atomos.errors import HistoryLostError, TransactionAborted, TransactionTimeout
from atomos.stm import _commit, _runner, _status, _wait
from atomos.stm._attempts import Attempt
from atomos.stm._causes import Cause, Wait
from atomos.stm._cell import Cell, latest
from atomos.stm._footprint import CUT_SHORT, WAITS, Restart
from atomos.stm._queue import TURN
from atomos.stm._runner import commit_number
from atomos.stm._scope import Scope
from atomos.stm._seams import Seams
from atomos.stm._transaction import Transaction

if TYPE_CHECKING:
    from collections.abc import Callable

    from atomos.stm._attempts import Listener
    from atomos.stm._cell import Version
    from atomos.stm._status import Patience, Status
    from atomos.stm._wait import Awaited

__all__ = ["listen", "reset_after_fork", "unlisten"]


class _Listening:
    """Who listens.

    Attributes:
        listeners: Replaced as a whole, under `lock`.
        told: The same, and those of them that hear of beginnings: who is told of an
            attempt's begin must be told of its end. Replaced as a whole, likewise.
        seams: Open while there is a listener. Written under `lock`.
    """

    __slots__ = ("listeners", "lock", "seams", "told")

    def __init__(self) -> None:
        self.listeners: tuple[Listener, ...] = ()
        self.told: tuple[tuple[Listener, ...], tuple[Listener, ...]] = (), ()
        self.seams = Seams()
        self.lock = allocate_lock()

    def replace(self, listeners: tuple[Listener, ...]) -> None:
        """Store who listens from now on."""
        self.listeners = listeners
        self.told = listeners, tuple(one for one in listeners if one.hears_begin)


_listening = _Listening()


def listen(listener: Listener) -> None:
    """Have `listener` hear of each attempt that begins from now on."""
    with _listening.lock:
        if not _listening.listeners:
            seams = _listening.seams
            seams.method(Transaction, "begin", _begin)
            seams.method(Transaction, "lose", _lose)
            seams.method(Scope, "_running", _left)
            seams.method(Scope, "_dropped", _dropped)
            seams.function(_commit, "commit", _committing)
            seams.function(_runner, "finish", _finish)
            seams.function(_status, "wait_for", _wait_for)
            seams.function(_wait, "sleep", _sleep)
        _listening.replace((*_listening.listeners, listener))


def unlisten(listener: Listener) -> None:
    """Have `listener` hear of no more attempts, but of those under way."""
    with _listening.lock:
        left = tuple(one for one in _listening.listeners if one is not listener)
        _listening.replace(left)
        if not left:
            _listening.seams.close()


def reset_after_fork() -> None:
    """In the child of a fork: the lock may have been held by another thread."""
    _listening.lock = allocate_lock()
    for one in _listening.listeners:
        one.forked()


# The wrappers. A transaction keeps its attempt in `watched` until that has ended.


def _watched(tx: Transaction) -> Attempt | None:
    """Return the attempt of `tx` that somebody listens to, if there is one."""
    attempt: Attempt | None = getattr(tx, "watched", None)
    return attempt


def _begin(begin: Callable[[Transaction], None]) -> Callable[[Transaction], None]:
    listening, now = _listening, perf_counter_ns

    def watched_begin(tx: Transaction) -> None:
        attempt = Attempt()
        attempt.listeners, starters = listening.told
        for one in starters:
            one.begins(tx, attempt)
        before = tx.attempts
        tx.watched = attempt
        try:
            begin(tx)
        except BaseException as error:
            tx.watched = None
            cause, end = _cause_of(error), now()
            if tx.attempts > before:
                attempt.start = end
                for one in attempt.listeners:
                    one.ended(tx, attempt, cause, None, end)
            for one in attempt.listeners:
                one.failed(tx, attempt, cause)
            raise
        attempt.start = now()

    return watched_begin


def _committing(commit: Callable[[Transaction], Any]) -> Callable[[Transaction], Any]:
    now, cause = perf_counter_ns, Cause.COMMITTED

    def watched_commit(tx: Transaction) -> Any:
        changes = commit(tx)
        attempt = _watched(tx)
        if attempt is not None:
            tx.watched = None
            end = now()
            for one in attempt.listeners:
                one.ended(tx, attempt, cause, None, end)
        return changes

    return watched_commit


def _finish(finish: Callable[[Transaction], None]) -> Callable[[Transaction], None]:
    def watched_finish(tx: Transaction) -> None:
        error = sys.exception()
        try:
            finish(tx)
        finally:
            attempt = _watched(tx)
            if attempt is not None:
                tx.watched = None
                _tell_end(tx, attempt, error)

    return watched_finish


def _tell_end(tx: Transaction, attempt: Attempt, error: BaseException | None) -> None:
    """Tell how an attempt has ended that `commit` has not returned for."""
    end, ref, over = perf_counter_ns(), None, True
    attempt.start = attempt.start or end  # an exception may have come in just then
    kind = attempt.kind if attempt.left else type(error)
    if commit_number(tx):
        cause, over = Cause.COMMITTED, False  # cut short after its commit point
    elif attempt.dropped:
        cause = Cause.GIVEN_UP
    elif tx.doomed is not None and (
        kind is None or issubclass(kind, (Exception, Restart))
    ):
        over = False
        if tx.doomed == WAITS:
            cause = Cause.WAITED
        elif tx.doomed == CUT_SHORT:
            cause = Cause.CUT_SHORT
        else:
            cause, ref = tx.conflict
    else:
        cause = _cause_of(error)
    for one in attempt.listeners:
        one.ended(tx, attempt, cause, ref, end)
        if over:
            one.failed(tx, attempt, cause)


def _cause_of(error: BaseException | None) -> Cause:
    """Return the cause that stands for an exception which has left a transaction."""
    if isinstance(error, TransactionTimeout):
        return Cause.TIMEOUT
    if isinstance(error, TransactionAborted):
        return Cause.GIVEN_UP
    if isinstance(error, HistoryLostError):
        return Cause.HISTORY
    return Cause.EXCEPTION


def _left(running: Callable[..., Any]) -> Callable[..., Any]:
    def watched_running(block: Scope, kind: type[BaseException] | None) -> Any:
        if block._tx is not None and block._part is None:
            attempt = _watched(block._tx)
            if attempt is not None:
                attempt.left, attempt.kind = True, kind
        return running(block, kind)

    return watched_running


def _dropped(dropped: Callable[..., None]) -> Callable[..., None]:
    def watched_dropped(block: Scope, lifeline: object) -> None:
        if block._tx is not None and block._part is None:
            attempt = _watched(block._tx)
            if attempt is not None:
                attempt.dropped = True
        dropped(block, lifeline)

    return watched_dropped


def _lose(lose: Callable[..., Restart]) -> Callable[..., Restart]:
    def watched_lose(tx: Transaction, cause: str, cell: Cell[Any]) -> Restart:
        attempt = _watched(tx)
        if attempt is not None:
            version = tx.view.get(cell)
            if version is not None and version.number <= 0:
                version = version.older
            seen = tx.point if version is None else version.number
            attempt.culprit = _first_after(cell, seen)
        return lose(tx, cause, cell)

    return watched_lose


def _first_after(cell: Cell[Any], seen: int) -> int:
    """Return the number of the first commit on `cell` after `seen` that is known.

    Versions that nobody needs are not kept, so it may be a later one; 0 if there is
    none.
    """
    found = 0
    version: Version[Any] | None = latest(cell)
    # Others let go of old versions meanwhile, so each link is looked at once.
    while version is not None and version.number > seen:
        found = version.number
        version = version.older
    return found


def _wait_for(wait_for: Callable[..., None]) -> Callable[..., None]:
    def watched_wait_for(
        status: Status,
        patience: Patience | None,
        what: str,
        own: Status | None = None,
    ) -> None:
        attempt = _watched(patience) if isinstance(patience, Transaction) else None
        if (
            attempt is None
            or not isinstance(patience, Transaction)
            or status.gone()  # there is nothing to wait for
        ):
            wait_for(status, patience, what, own)
            return
        start = perf_counter_ns()
        try:
            wait_for(status, patience, what, own)
        finally:
            wait = Wait.TURN if what == TURN else Wait.HELD
            culprit = max(status.number, 0)
            _tell_wait(patience, attempt, wait, what, culprit, start)

    return watched_wait_for


def _sleep(sleep: Callable[..., None]) -> Callable[..., None]:
    def watched_sleep(tx: Transaction, awaited: Awaited) -> None:
        attempt = _watched(tx)
        start = perf_counter_ns()
        try:
            sleep(tx, awaited)
        finally:
            if attempt is not None:
                cell, culprit = _woken_by(awaited)
                what = cell._label()
                _tell_wait(tx, attempt, Wait.RETRY, what, culprit, start)

    return watched_sleep


def _woken_by(awaited: Awaited) -> tuple[Cell[Any], int]:
    """Return the cell that has changed, if any, and the commit that has done so."""
    for cell, version in awaited:
        culprit = _first_after(cell, version.number)
        if culprit:
            return cell, culprit
    return awaited[0][0], 0


def _tell_wait(
    tx: Transaction, attempt: Attempt, wait: Wait, what: str, culprit: int, start: int
) -> None:
    end = perf_counter_ns()
    if attempt.start:
        attempt.waited += end - start
    for one in attempt.listeners:
        one.waited(tx, attempt, wait, what, culprit, (start, end))
