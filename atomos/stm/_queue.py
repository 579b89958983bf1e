"""The queue of transactions that may wait while they hold.

Plain blocks, transactions that have lost often, and commits that have been
driven back often run one at a time, in the order in which they came. The queue
is a chain of statuses, each pointing at the one ahead; `_Tail.status` is the
last. To have one's turn is to find everybody ahead decided or gone. Nobody
passes a baton, so a status that ends in the middle (its timeout passed, its
thread died) breaks nothing: who comes after it waits for those still ahead.
"""

from __future__ import annotations

from _thread import allocate_lock
from typing import TYPE_CHECKING

from atomos.stm._status import wait_for

if TYPE_CHECKING:
    from atomos.stm._status import Patience, Status

__all__ = ["TURN", "reset_after_fork", "turn"]

#: What messages say is waited for.
TURN = "the turn of plain blocks"


class _Tail:
    """The end of the chain. Written only under `lock`, where nothing is called."""

    __slots__ = ("lock", "status")

    def __init__(self) -> None:
        self.lock = allocate_lock()
        self.status: Status | None = None


_tail = _Tail()


def turn(status: Status, patience: Patience | None) -> None:
    """Join the queue at its end and sleep until everybody ahead is decided.

    Raises:
        WouldDeadlockError: The calling thread itself runs one of those ahead.
        TransactionTimeout: Its deadline passed first; the caller aborts `status`.
    """
    with _tail.lock:
        status.ahead = _tail.status
        _tail.status = status
    while (ahead := status.ahead) is not None:
        wait_for(ahead, patience, TURN, status)
        # Those before it may still run: it may have left before its turn came.
        status.ahead = ahead.ahead


def reset_after_fork() -> None:
    """In the child of a fork: the lock may have been held by another thread."""
    _tail.lock = allocate_lock()
