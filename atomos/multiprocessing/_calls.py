"""A fork waits until no thread is in the middle of a call into SQLite.

SQLite has locks for the whole process, and calls into it run without the GIL. If one of
these locks is held at a fork, the child, in which nobody will release it, stops at its
first call. So each call is made between `entered` and `left`, and the hook before a
fork shuts the gate and waits for those inside. They are known by their threads: the one
that forks does not wait for itself.

An asynchronous exception may keep a thread from leaving. It leaves with its next call,
or its end; until then, a fork waits for it for some seconds, and then goes on.
"""

from __future__ import annotations

import os
import sys
import threading
from _thread import allocate_lock, get_ident
from time import monotonic

__all__ = ["entered", "left", "others_inside"]

#: The longest that a fork waits.
_LONGEST = 10.0

_inside: set[int] = set()
_forking = 0
_left_one = threading.Semaphore(0)
_open_again = allocate_lock()


def entered() -> None:
    """Note that this thread calls SQLite from now on."""
    me = get_ident()
    _inside.add(me)
    while _forking and _forking != me:
        left()
        with _open_again:
            _inside.add(me)


def left() -> None:
    """Note that this thread has come back."""
    _inside.discard(get_ident())
    if _forking:
        _left_one.release()


def others_inside() -> bool:
    """Whether another thread is in a call of SQLite."""
    return not _inside <= {get_ident()}


def _before() -> None:
    global _forking
    _open_again.acquire()
    me = _forking = get_ident()
    end = monotonic() + _LONGEST
    while monotonic() < end:
        # One that has ended does not come back; its identity may be there still.
        inside = _inside.intersection(sys._current_frames()) - {me}
        if not inside:
            break
        _left_one.acquire(timeout=0.01)


def _in_parent() -> None:
    global _forking
    _forking = 0
    _open_again.release()


def _in_child() -> None:
    global _forking, _left_one, _open_again
    _forking = 0
    _left_one = threading.Semaphore(0)
    _open_again = allocate_lock()
    _inside.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before, after_in_parent=_in_parent, after_in_child=_in_child
    )
