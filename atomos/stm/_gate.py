"""Sleeping at a gate: a lock that is locked until somebody opens it.

CPython runs signal handlers in the main thread, between two of its instructions. A
signal that comes between the last of them and the sleep of `acquire` does not end that
sleep: the handler would run only when the gate opens. So the main thread sleeps in
slices, and Ctrl-C is heeded after one of them at the latest.
"""

from __future__ import annotations

from _thread import TIMEOUT_MAX, get_ident
from threading import main_thread
from time import monotonic
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from _thread import LockType

__all__ = ["pass_gate"]

#: Seconds for which the main thread sleeps at a time.
SLICE: Final = 0.2


def pass_gate(gate: LockType, seconds: float | None = None) -> bool:
    """Sleep until `gate` is opened, and lock it again.

    Args:
        gate: The gate.
        seconds: How long at most; None for no limit.

    Returns:
        False when the time is over.

    Cost: one sleep; in the main thread one for each `SLICE`.
    """
    if get_ident() != main_thread().ident:
        return gate.acquire(
            timeout=-1 if seconds is None else min(seconds, TIMEOUT_MAX)
        )
    if seconds is None:
        while not gate.acquire(timeout=SLICE):
            pass
        return True
    end = monotonic() + seconds
    while not gate.acquire(timeout=max(0.0, min(SLICE, end - monotonic()))):
        if monotonic() >= end:
            return False
    return True
