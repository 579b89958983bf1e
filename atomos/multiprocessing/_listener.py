"""Hearing of the commits of all processes: for who sleeps, and for watches.

One thread for each space listens at a bell (`_bells`) while somebody here waits for
something, and ends some time after nobody does any more. A process in which nobody
waits has no such thread, and costs those who commit nothing.

No wake-up is lost. A sleeper enters itself, sees to it that the bell hangs, looks
whether what it waits for has changed already, and sleeps. Who commits rings the bells
that hang after its commit. So either the sleeper sees the commit, or the bell rings.
Only a process that is killed between its commit and its ringing wakes nobody; so the
thread looks once in a second, too.

A watch is called with the value that it was told last, and the newest one: several
commits may come as one call, but each call goes on where the one before ended. Who
commits calls the watches of its own process itself, as between threads; the thread
calls them for the commits of the others.
"""

from __future__ import annotations

import logging
from _thread import allocate_lock
from threading import Thread
from time import monotonic
from typing import TYPE_CHECKING, Any
from weakref import ref

from atomos.stm._gate import pass_gate
from atomos.stm._wait import Sleeper

if TYPE_CHECKING:
    from atomos.multiprocessing._bells import Bell
    from atomos.multiprocessing._home import SpaceHome
    from atomos.multiprocessing._seen import Seen

    #: Cells, and of each the version that was seen.
    Records = list[tuple[Any, Seen[Any]]]

__all__ = ["Listener"]

#: Seconds after which the thread looks by itself.
LOOK = 1.0
#: Looks in a row that find nobody here who waits, after which it ends.
IDLE = 5

_logger = logging.getLogger("atomos")


class Watched:
    """A cell with watches: what they were told last.

    Attributes:
        cell: A weak reference to the cell, which nobody may need any more.
        lock: Held while the next call is determined, not while it is made.
        record: What they were told last, as it stood there.
        value: The same as a value.
    """

    __slots__ = ("cell", "lock", "record", "value")

    def __init__(self, cell: Any, record: bytes | None, value: Any) -> None:
        self.cell = ref(cell)
        self.lock = allocate_lock()
        self.record = record
        self.value = value


class Listener:
    """Who hears for one space, in one process.

    Attributes:
        sleepers: Who waits; entered and taken out by themselves.
        watched: key -> a cell with watches; replaced as a whole.
        thread: The one that listens; None if there is none. Written under `lock`.
    """

    __slots__ = ("home", "lock", "sleepers", "thread", "watched")

    def __init__(self, home: SpaceHome) -> None:
        self.home = home
        self.watched: dict[bytes, Watched] = {}
        self.forget()

    def forget(self) -> None:
        """Begin anew, in the child of a fork: no thread but the caller lives there."""
        self.lock = allocate_lock()
        self.sleepers: dict[Sleeper, None] = {}
        self.thread: Thread | None = None

    # Sleeping

    def sleep(self, deadline: float | None, awaited: Records) -> bool:
        """Sleep until one of the cells has another record than was seen.

        Args:
            deadline: `time.monotonic()` seconds, or None for no limit.
            awaited: The cells, and of each the version seen.

        Returns:
            False if the deadline has passed first.
        """
        sleeper = Sleeper()
        self.sleepers[sleeper] = None
        try:
            while True:
                self.listen()
                if self.home.changed(awaited):
                    break
                seconds = None if deadline is None else deadline - monotonic()
                if seconds is not None and seconds <= 0:
                    return False
                pass_gate(sleeper.gate, seconds)
        finally:
            self.sleepers.pop(sleeper, None)
        return True

    # Watching

    def watch(self, cell: Any) -> None:
        """Call the watches of `cell` from now on for the commits of all processes."""
        key = cell._key
        with self.lock:
            if key not in self.watched:
                seen = self.home.newest(cell)
                told = Watched(cell, seen.record, seen.value)
                self.watched = {**self.watched, key: told}
        self.listen()
        self.report(cell)

    def report(self, cell: Any) -> None:
        """Call the watches of `cell`, if there is a commit that they were not told."""
        watched = self.watched.get(cell._key)
        if watched is None:
            return
        with watched.lock:
            seen = self.home.newest(cell)
            if seen.record == watched.record:
                return
            before, watched.value = watched.value, seen.value
            watched.record = seen.record
        cell.notify_watches(before, seen.value)

    def _report_all(self) -> None:
        """Report each watched cell; forget those that have no watches any more."""
        for key, watched in list(self.watched.items()):
            cell = watched.cell()
            if cell is not None and cell.get_watches():
                try:
                    self.report(cell)
                except Exception:
                    _logger.exception("the watches of %s were not told", cell._label())
            else:
                with self.lock:
                    self.watched = {k: v for k, v in self.watched.items() if k != key}

    # The thread

    def listen(self) -> None:
        """See to it that a bell hangs, and that somebody hears it."""
        if self.thread is not None:
            return
        with self.lock:
            if self.thread is None:
                thread = Thread(
                    target=self._run,
                    args=(self.home.bells.hang(),),
                    name=f"atomos listens to {self.home!r}",
                    daemon=True,
                )
                thread.start()
                self.thread = thread

    def _run(self, bell: Bell) -> None:
        """Wake who sleeps, and tell the watches, whenever the bell rings.

        However it ends, those who sleep see to it that another thread begins.
        """
        try:
            self._hear(bell)
        finally:
            bell.close()
            with self.lock:
                self.thread = None
            self._wake_all()

    def _hear(self, bell: Bell) -> None:
        idle = 0
        while idle < IDLE or self.sleepers or self.watched:
            bell.wait(LOOK)
            if self.home.closed:
                return
            self._wake_all()
            self._report_all()
            idle = 0 if self.sleepers or self.watched else idle + 1

    def _wake_all(self) -> None:
        for sleeper in list(self.sleepers):
            sleeper.wake()
