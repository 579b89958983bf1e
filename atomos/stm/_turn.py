"""Whose turn it is at the version clock: numbers, handed out in order.

To have the number that follows `done` is to have the turn: nobody else may step the
clock, or hold or link anything by the short way, until ``done = number`` passes the
turn on. So one number serves as lock and as version; one that was used for no commit
is lost, which does no harm::

    for number in clock.steps:
        if number != clock.done + 1:
            clock.skipped[number] = None  # not now; go the long way
            break
        try:
            ...
        finally:
            clock.done = number
            if FREE:
                release()
        break

Under the GIL `steps` is an iterator over a list, so its next item is taken at one
instant, without a call, and between there and the ``try`` the interpreter looks for
no signal, exception or switch of threads. The part inside neither calls nor loops,
so no other thread runs in the middle of it, unless a trace function lets one in.
Then that one does not have the turn. It gives its number up and waits (`Turns`). A
real lock would do, but would cost 75 ns on 3.11 where this costs 20, in each swap of
an atom. Without the GIL there is a lock, and `steps` takes it.

No part with the turn allocates an object that the garbage collector tracks. So
no finalizer, signal handler or other user code runs there, and nobody waits for
a turn that his own thread has.

Where the numbers lie
---------------------
An int is an object. Without the GIL, on 3.13, to replace one that another thread
has made is work for both: its count of references belongs to the other. So there
they are fields of a C structure, which holds bare numbers. In a prototype of this
engine two threads on refs of their own went from 1.3 to 1.5 times the work of one.
"""

from __future__ import annotations

import os
import sys
from _thread import allocate_lock
from functools import partial
from itertools import count, cycle
from operator import call, length_hint, mul
from time import sleep
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from _thread import LockType
    from collections.abc import Callable, Iterator
    from types import FrameType

#: Whether threads run side by side.
FREE: Final[bool] = not getattr(sys, "_is_gil_enabled", lambda: True)()

if TYPE_CHECKING or not FREE:

    class Numbers:
        """Where the clock's numbers lie."""

        __slots__ = ("done", "now", "observed", "step")

        now: int
        done: int
        step: int
        observed: bool

else:
    import ctypes

    class Numbers(ctypes.Structure):
        """Where the clock's numbers lie: in bare memory."""

        __slots__ = ()
        _fields_ = (
            ("now", ctypes.c_longlong),
            ("done", ctypes.c_longlong),
            ("step", ctypes.c_longlong),
            ("observed", ctypes.c_bool),
        )


__all__ = [
    "FREE",
    "INITIAL",
    "NEVER_ENDS",
    "Numbered",
    "after_fork_in_parent",
    "before_fork",
    "clock",
    "give_way",
    "more_numbers",
    "own_clock",
    "own_turns",
    "release",
    "reset_after_fork",
    "turns",
]

#: The number of a version that a cell is made with: every snapshot sees it.
INITIAL = 1
#: How many numbers are laid ready at a time.
BATCH = 1000
#: How often a lock is tried before sleeping for it, without the GIL. A turn takes
#: less than a microsecond, to be woken up takes ten.
TRIES = 50
#: Seconds after which a thread looks again whether the turn has passed on.
PAUSE = 0.0001
#: How many such looks in vain until it asks whether somebody has the turn at all.
LONG = 1000
#: Where the code lies that takes numbers.
HERE = os.path.dirname(os.path.dirname(__file__))
NEVER_ENDS = "a signal handler raised StopIteration where a turn was waited for"


class Numbered(Protocol):
    """A record that decides a commit: 0 undecided, > 0 committed, -1 aborted."""

    number: int


class Clock(Numbers):
    """The clock's fields, one instance for the process.

    Attributes:
        now: Number of the last commit. Never decreases. Written only by who has
            the turn.
        done: The turn has passed beyond this number. Never decreases.
        step: Number of the last commit that was announced to readers. Never
            decreases. Written only by who has the turn.
        observed: A snapshot was opened since `fresh` was noted. Set by anyone,
            cleared only with the turn, by a lone commit.
        fresh: Number of the commit that last cleared `observed`. Never
            decreases. Written only by who has the turn.
        steps: Hands out numbers, each once, in order; may end, see `more_numbers`.
        skipped: Numbers that were given up before their turn came.
        end: The last number laid ready in `steps`. Unused without the GIL.
    """

    __slots__ = ("end", "fresh", "skipped", "steps")

    def __init__(self) -> None:
        super().__init__()
        self.now = self.done = self.step = self.end = INITIAL
        self.observed: bool = False
        self.fresh: int = INITIAL
        self.steps: Iterator[int] = iter(())
        self.skipped: dict[int, None] = {}


class Repair:
    """Guards `Clock.end`, `steps` and the passing over of `skipped`.

    Nothing is called and nothing loops under it.
    """

    __slots__ = ("lock",)

    def __init__(self) -> None:
        self.lock: LockType = allocate_lock()


clock = Clock()
_repair = Repair()
#: The turn itself, without the GIL.
_lock = allocate_lock()
release = _lock.release
#: The clock's numbers as each place sees them, without the GIL.
_views: dict[int, Numbers] = {}
#: Hands out numbers without the GIL, drawn only by who has the lock.
_numbers = count(INITIAL + 1)


def more_numbers() -> None:
    """Lay more numbers ready, if `steps` has come to its end."""
    c = clock
    ended, end = c.steps, c.end
    if FREE or length_hint(ended):
        return  # another thread has been here
    fresh = iter(list(range(end + 1, end + 1 + BATCH)))
    with _repair.lock:
        if c.steps is ended:
            c.end, c.steps = end + BATCH, fresh


def give_way() -> None:
    """Pass over numbers that were given up, so that those after them have the turn."""
    c = clock
    passed = True
    while passed:
        with _repair.lock:
            number = c.done + 1
            # Who has given up a number does nothing with it, so nobody has the turn.
            passed = number in c.skipped
            if passed:
                c.done = number
                del c.skipped[number]


def give_up_lost() -> None:
    """Give up the number that has the turn, if no thread has it any more.

    A trace function that raises just where a number was taken, before the ``try``,
    loses it. Cost: O(all frames of all threads).
    """
    number = clock.done + 1
    frame: FrameType | None
    for frame in sys._current_frames().values():
        while frame is not None:
            if (
                frame.f_code.co_filename.startswith(HERE)
                and frame.f_code is not give_up_lost.__code__
                and frame.f_locals.get("number") == number
            ):
                return
            frame = frame.f_back
    clock.skipped[number] = None


class Turns:
    """Waits for the turn, with the GIL: each item is a number whose turn has come."""

    __slots__ = ()

    def __iter__(self) -> Turns:
        return self

    def __next__(self) -> int:
        """Take numbers until one has the turn."""
        c = clock
        pauses = 0
        while True:
            for number in c.steps:
                if number == c.done + 1:
                    return number
                c.skipped[number] = None
                break
            else:
                more_numbers()
                continue
            give_way()
            if c.done < number:
                sleep(PAUSE)  # a trace function lets us in; let it go on
                pauses += 1
                if pauses % LONG == 0:
                    give_up_lost()


#: The same on any build. Without the GIL it takes the lock, and then a number; ``True *
#: number`` is the number.
turns: Iterator[int] = Turns()
if FREE:
    turns = clock.steps = map(mul, iter(_lock.acquire, None), _numbers)


def own_clock(place: int) -> Numbers:
    """Return the clock's numbers for one thread; without the GIL a view of its own.

    There each use of one object by two threads at once costs from 100 to 500 ns more
    on 3.13, for its reference count, which is more than what is done with it. That
    holds for the descriptors of the fields, too, so each view has a class of its own.

    Args:
        place: The thread's number. Threads that have it one after the other use the
            same view, since there a class is never freed.
    """
    if not FREE:
        return clock
    view = _views.get(place)
    if view is None:
        kind: Any = type("View", (ctypes.Structure,), {"_fields_": Numbers._fields_})  # type: ignore[attr-defined, name-defined] # of ctypes
        view = _views.setdefault(place, kind.from_buffer(clock))
    return view


def own_turns() -> tuple[Iterator[int], Callable[[], None]]:
    """Return `turns` and `release`; without the GIL for the calling thread alone.

    That one shares only the lock and the numbers, and tries before it sleeps.
    """
    if not FREE:
        return turns, release
    ways = (partial(_lock.acquire, False),) * TRIES + (_lock.acquire,)
    return map(mul, filter(None, map(call, cycle(ways))), _numbers), _lock.release


def before_fork() -> None:
    """Let no other thread be in the middle of its turn."""
    if FREE:
        _lock.acquire()


def after_fork_in_parent() -> None:
    """Go on."""
    if FREE:
        release()


def reset_after_fork() -> None:
    """In the child of a fork: numbers that other threads had taken are given up."""
    _repair.lock = allocate_lock()
    if FREE:
        _lock._at_fork_reinit()  # type: ignore[attr-defined] # not in typeshed
    else:
        clock.steps = iter(())
        clock.done = clock.end
        clock.skipped.clear()
