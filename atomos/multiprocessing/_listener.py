"""Hearing of the commits of all processes: for who sleeps, and for watches.

One thread for each space listens at a bell (`_bells`) while somebody here waits for
something, and ends some time after nobody does any more. A process in which nobody
waits has no such thread, and costs those who commit nothing.

No wake-up is lost. A sleeper enters itself, sees to it that the bell hangs, looks
whether what it waits for has changed already, and sleeps. Who commits rings the bells
that hang after its commit. So either the sleeper sees the commit, or the bell rings.
Only a process that is killed between its commit and its ringing wakes nobody; so the
thread looks at the number of the last commit once in a second, too.

A watch is called with the value that it was told last, and the newest one: several
commits may come as one call, but each call goes on where the one before ended. Who
commits calls the watches of its own process itself, as between threads; another thread,
the teller, which sleeps as others do, calls them for the commits of the others. So what
a watch does may take long, or wait for a commit itself, and nobody else waits for it.
"""

from __future__ import annotations

import logging
from _thread import allocate_lock
from threading import Thread, current_thread
from time import monotonic
from typing import TYPE_CHECKING, Any
from weakref import ref

from atomos.stm._gate import pass_gate
from atomos.stm._wait import Sleeper

if TYPE_CHECKING:
    from collections.abc import Callable

    from atomos.multiprocessing._bells import Bell
    from atomos.multiprocessing._home import SpaceHome
    from atomos.multiprocessing._seen import Seen

    #: Cells, and of each the version that was seen.
    Records = list[tuple[Any, Seen[Any]]]

__all__ = ["Listener"]

#: Seconds after which the thread looks by itself.
LOOK = 1.0
#: Seconds in which nobody here waits, after which it ends.
IDLE = 5.0

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
        teller: The one that calls the watches; the same.
    """

    __slots__ = ("home", "lock", "sleepers", "teller", "thread", "watched")

    def __init__(self, home: SpaceHome) -> None:
        self.home = home
        self.watched: dict[bytes, Watched] = {}
        self.forget()

    def forget(self) -> None:
        """Begin anew, in the child of a fork: no thread but the caller lives there."""
        self.lock = allocate_lock()
        self.sleepers: dict[Sleeper, None] = {}
        self.thread: Thread | None = None
        self.teller: Thread | None = None
        for watched in self.watched.values():
            watched.lock = allocate_lock()

    # Sleeping

    def sleep(self, deadline: float | None, awaited: Records) -> bool:
        """Sleep until one of the cells has another record than was seen.

        Args:
            deadline: `time.monotonic()` seconds, or None for no limit.
            awaited: The cells, and of each the version seen.

        Returns:
            False if the deadline has passed first. True also when the space is closed:
            nobody wakes who sleeps on, though its engine may still answer.
        """
        sleeper = Sleeper()
        self.sleepers[sleeper] = None
        try:
            self.listen()
            while not (self.home.closed or self.home.changed(awaited)):
                seconds = None if deadline is None else deadline - monotonic()
                if seconds is not None and seconds <= 0:
                    return False
                pass_gate(sleeper.gate, seconds)
                self.listen()  # the thread may have come to its end
        finally:
            self.sleepers.pop(sleeper, None)
        return True

    # Watching

    def begin(self, cell: Any) -> None:
        """Note the value of `cell`, which is about to get a watch.

        If it has watches, they may be owed a call, and what they were told last stays.
        The value is read before that is asked: a watch that another thread has added
        before the commit of that value has been seen then.
        """
        with self.lock:
            seen = self.home.newest(cell)
            if not (cell._key in self.watched and cell.get_watches()):
                self._note(cell, seen)

    def watch(self, cell: Any) -> None:
        """Call the watches of `cell` from now on for the commits of all processes."""
        with self.lock:
            if cell._key not in self.watched:  # the teller saw it without a watch
                self._note(cell, self.home.newest(cell))
            if self.teller is None or not self.teller.is_alive():
                self.teller = self._started("calls watches", self._tell)
        self.listen()
        self.report(cell)

    def _note(self, cell: Any, seen: Seen[Any]) -> None:
        """Take `seen` for what the watches of `cell` were told last. Under `lock`."""
        told = Watched(cell, seen.record, seen.value)
        self.watched = {**self.watched, cell._key: told}

    def report(self, cell: Any) -> None:
        """Call the watches of `cell`, if there is a commit that they were not told.

        All may have been taken off meanwhile, and others added, which must hear nothing
        old. Who adds one notes the value first. So if what was noted is still in its
        place once the watches have been looked up, none of them is younger.
        """
        watched = self.watched.get(cell._key)
        if watched is None:
            return
        with watched.lock:
            seen = self.home.newest(cell)
            if seen.record == watched.record:
                return
            before, watched.value = watched.value, seen.value
            watched.record = seen.record
        watches = cell.get_watches()
        if self.watched.get(cell._key) is watched:
            cell._notify(watches, before, seen.value)

    def _tell(self) -> None:
        """Tell the watches of each commit, as long as there are any."""
        sleeper = Sleeper()
        self.sleepers[sleeper] = None
        try:
            while not self.home.closed:
                self.listen()
                for watched in self.watched.values():
                    self._report(watched)
                if self._told_all():
                    return
                pass_gate(sleeper.gate)
        finally:
            self.sleepers.pop(sleeper, None)

    def _report(self, watched: Watched) -> None:
        """Report a watched cell; the thread outlives whatever a watch raises."""
        cell = watched.cell()
        try:
            if cell is not None and cell.get_watches():
                self.report(cell)
                return
        except BaseException:
            if not self.home.closed:
                _logger.exception("the watches of %r were not told", cell)
            return
        with self.lock:
            if cell is None or not cell.get_watches():
                self.watched = {
                    key: one for key, one in self.watched.items() if one is not watched
                }

    def _told_all(self) -> bool:
        """Whether there are no watches; if so, the next one has another teller."""
        with self.lock:
            if self.watched:
                return False
            if self.teller is current_thread():
                self.teller = None
            return True

    # The thread

    def listen(self) -> None:
        """See to it that the bell hangs."""
        with self.lock:
            if self.home.closed:
                return
            if self.thread is None or not self.thread.is_alive():
                bell = self.home.bells.hang()
                self.thread = self._started("listens", self._run, bell)

    def _started(self, what: str, target: Callable[..., None], *args: Any) -> Thread:
        """Return a thread that has been started."""
        name = f"atomos {what} for {self.home!r}"
        thread = Thread(target=target, args=args, name=name, daemon=True)
        thread.start()
        return thread

    def _run(self, bell: Bell) -> None:
        """Wake who sleeps whenever the bell rings."""
        last, needed = -1, monotonic()
        try:
            while True:
                rung = bell.wait(LOOK)
                if self.home.closed:
                    return
                number = self.home.engine.number()
                if rung or number != last:
                    last = number
                    self._wake_all()
                if self.sleepers:
                    needed = monotonic()
                elif monotonic() - needed >= IDLE and self._may_end():
                    return
        except Exception:
            if not self.home.closed:  # who sleeps looks by himself, and meets it, too
                _logger.exception("hearing of commits in %r", self.home)
        finally:
            with self.lock:  # before: who is woken starts another one
                if self.thread is current_thread():
                    self.thread = None
            bell.close()
            self._wake_all()

    def _wake_all(self) -> None:
        for sleeper in list(self.sleepers):
            sleeper.wake()

    def _may_end(self) -> bool:
        """Whether nobody waits; if so, the next one who does starts another thread."""
        with self.lock:
            if self.sleepers:
                return False
            if self.thread is current_thread():
                self.thread = None
            return True
