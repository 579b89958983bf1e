"""The fate of one attempt to commit, and waiting for it.

Whatever a transaction holds or has linked points at its `Status`. One store
into `number` decides all of it at once: the number of its commit, or
`ABORTED`. So nothing is ever released one by one, and an asynchronous
exception cannot leave half of it held.

Waiting blocks on a lock of the waiter's own (spinning under the GIL would burn
the turn of the thread that is waited for). A waiter registers first and looks
at the number again afterwards; the owner stores the number first and wakes
those registered afterwards; so one of the two sees the other. Every
`RECHECK` seconds a waiter looks by itself whether the owner is still there:
a thread may die, or its block may be dropped, without a word.
"""

from __future__ import annotations

from _thread import allocate_lock
from time import monotonic
from typing import TYPE_CHECKING, Final, Protocol

from atomos.errors import WouldDeadlockError
from atomos.stm._clock import ABORTED
from atomos.stm._registry import my_record

if TYPE_CHECKING:
    from _thread import LockType

    from atomos.errors import TransactionTimeout
    from atomos.stm._registry import ThreadRecord

__all__ = [
    "NOBODY",
    "Patience",
    "Status",
    "abort",
    "settle_waiters",
    "undecided",
    "wait_for",
]

#: Seconds after which a waiter looks whether the owner is still there.
RECHECK = 0.2
#: How many who wait for each other are followed.
LONGEST_CIRCLE = 1000


class NOBODY:
    """Owner of a version that is its own commit record.

    Such a version is decided by its own number alone. A class, since each use
    of an instance by two threads at once costs 60 ns more on a free-threaded
    build, for its reference count; classes have none there.
    """

    number: Final = 0


class Patience(Protocol):
    """How long somebody is willing to wait."""

    deadline: float | None

    def timed_out(self, cause: str | None) -> TransactionTimeout:
        """Return the error to raise when the deadline has passed."""

    def starts_waiting(self) -> None:
        """Hear that it begins to wait."""

    def has_waited(self) -> None:
        """Hear that the wait has ended."""


class _Waiter:
    """A sleeping thread: its gate, and the next waiter of the same status."""

    __slots__ = ("gate", "next")

    def __init__(self) -> None:
        self.gate: LockType = allocate_lock()
        self.gate.acquire()
        self.next: _Waiter | None = None


class Status:
    """How one attempt stands; the record that its commit point decides.

    Attributes:
        number: 0 while undecided; then for good the number of its commit, or
            `ABORTED`.
        thread: The record of the thread that runs it; None for `NOBODY`.
        label: The transaction's name in messages.
        ahead: The status before this one in the queue of plain blocks.
        waiters: Those to wake, newest first. Written under `_waiting.lock`,
            or by the owner after `number` is decided.
    """

    __slots__ = ("ahead", "label", "number", "thread", "waiters")

    number: int
    thread: ThreadRecord | None
    label: str
    ahead: Status | None
    waiters: _Waiter | None

    def gone(self) -> bool:
        """Whether it is decided, or its thread can no longer decide it."""
        thread = self.thread
        return self.number != 0 or (thread is not None and thread.dead)


def undecided(thread: ThreadRecord | None, label: str) -> Status:
    """Return a new status of a transaction that `thread` runs.

    Not an ``__init__``: its call would cost more than all the stores.
    """
    status = Status()
    status.number = 0
    status.thread = thread
    status.label = label
    status.ahead = None
    status.waiters = None
    return status


class _Waiting:
    __slots__ = ("lock",)

    def __init__(self) -> None:
        self.lock = allocate_lock()


#: Guards the lists of waiters; no call is made under its lock.
_waiting = _Waiting()


def abort(status: Status) -> None:
    """Decide that `status` will never commit, and wake who waits for it."""
    if status.number == 0:
        status.number = ABORTED
    settle_waiters(status)


def settle_waiters(status: Status) -> None:
    """Wake all that wait for `status`, which is decided.

    Several may do so at once, such as all who find that its thread has died. An
    exception in between leaves the rest to their `RECHECK`.
    """
    waiter = status.waiters
    status.waiters = None
    while waiter is not None:
        try:
            waiter.gate.release()
        except RuntimeError:
            pass  # somebody else was faster
        waiter = waiter.next


def wait_for(
    status: Status, patience: Patience | None, what: str, own: Status | None = None
) -> None:
    """Sleep until `status` is decided or its owner is gone.

    Args:
        status: Whom to wait for.
        patience: Bounds the wait; None for no limit.
        what: What is waited for, in words, for messages.
        own: The status on whose behalf the thread waits, if any.

    Raises:
        WouldDeadlockError: The calling thread itself holds it, or what its owner
            waits for, and so on.
        TransactionTimeout: The deadline passed first.
    """
    thread = my_record()
    waiter = _Waiter()
    with _waiting.lock:
        waiter.next = status.waiters
        status.waiters = waiter
    before = thread.waits_for
    waits: Patience | None = None
    try:
        thread.waits_for = status
        while not status.gone():
            _refuse_to_wait_for_oneself(status, thread, own, what)
            seconds = RECHECK
            if patience is not None and patience.deadline is not None:
                seconds = min(seconds, patience.deadline - monotonic())
                if seconds <= 0:
                    raise patience.timed_out(f"{what} is held by {status.label}")
            if patience is not None and waits is None:
                patience.starts_waiting()
                waits = patience
            if waiter.gate.acquire(timeout=seconds):
                break
    finally:
        thread.waits_for = before
        if waits is not None:
            waits.has_waited()
    if status.number == 0 and status.gone():
        abort(status)  # its thread died; nobody else can decide it any more


def _refuse_to_wait_for_oneself(
    status: Status, thread: ThreadRecord, own: Status | None, what: str
) -> None:
    """Raise if those who are waited for wait for another status of `thread`.

    One that waits behind `own` is no fault of this thread: where there is a
    circle, the thread that has two statuses in it is told. Two threads that come
    to wait at once may not see each other; then the next recheck finds it.
    """
    one: Status | None = status
    for _ in range(LONGEST_CIRCLE):
        if one is None or one is own or one.number != 0:
            return
        if one.thread is thread:
            behind = "" if one is status else f", which waits for {one.label}"
            msg = (
                f"{what} is held by {status.label}{behind}, which this very thread "
                "runs: waiting would never end. Do not use refs in a finalizer, a "
                "signal handler or another task of the thread while a plain block "
                "holds them; do not await inside a plain block"
            )
            raise WouldDeadlockError(msg)
        one = None if one.thread is None else one.thread.waits_for


def reset_after_fork() -> None:
    """In the child of a fork: the lock may have been held by another thread."""
    _waiting.lock = allocate_lock()
