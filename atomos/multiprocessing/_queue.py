"""The queue of those that want to write to a space: one of them holds it at a time.

Between processes it is a record lock on byte 0 of a file. The kernel drops it when its
holder dies, and a forked child does not have it. Between the threads of a process it
is an `RLock`, the *gate*, used for the one thing that a plain lock cannot do: it knows
its owner from the same step that takes it. So whatever asynchronous exception strikes
in `take`, its handler sees what there is to undo.

Nobody overtakes for long. Who finds the gate shut goes to the *door*, one at a time,
and sets `_waiting`; whoever sees that goes to the door, too, instead of taking the gate
just after he has left it. Between processes, byte 1 of the file is the door, and a
byte in the shared page is the sign (`LINE`). A sign that a killed or interrupted
waiter leaves behind costs the next taker a detour, and is gone with it.

The kernel has no deadline for such a lock. So with one, a thread, the *porter*, does
the waiting, and hands the lock over (see `_porter.py`).

What an exception can leave. `take` that raises holds nothing, unless a second exception
strikes in its handler. `leave` that raises may not have come to its end; `held` is
still true then, and it has to be called again: ``while queue.held: queue.leave()``. If
a thread ends while it holds the queue, whoever waits in that process finds out within
0.2 seconds, and the queue is free again.
"""

from __future__ import annotations

import os
import threading
from fcntl import LOCK_EX, LOCK_NB, LOCK_UN, lockf
from time import monotonic
from typing import Any
from weakref import ref

from atomos.errors import SpaceBusyError, SpaceError, WouldDeadlockError
from atomos.multiprocessing import _forks
from atomos.multiprocessing._faults import closed, translated
from atomos.multiprocessing._page import HOLDER, LINE, Page
from atomos.multiprocessing._porter import Porter

__all__ = ["Queue", "open_queue"]

#: Seconds after which a waiter looks whether the thread that holds still lives.
_LOOK = 0.2
#: Seconds after which who waits without a deadline looks whether the holder is stopped.
_PATIENCE = 10.0

_kept: dict[str, Queue] = {}


class _Token:
    """Dies with the thread that made it."""

    __slots__ = ("__weakref__",)


_local = threading.local()


def _me() -> ref[_Token]:
    """Make the token of this thread, and return a weak reference to it."""
    _local.token = _Token()
    _local.me = ref(_local.token)
    return _local.me  # type: ignore[no-any-return] # a local has no types


def open_queue(folder: str, page: Page) -> Queue:
    """Return the queue of this folder; there may be one at a time in a process."""
    # One that was closed while a thread waits for the file comes to life again, as
    # that thread has the lock of the process, not of a queue.
    queue = _kept.pop(folder, None)
    return queue if queue is not None and not queue.lost else Queue(folder, page)


class Queue:
    """The writers' queue of one space, as this process has it open."""

    def __init__(self, folder: str, page: Page) -> None:
        """Open the file, and make it if there is none."""
        self._folder = folder
        self._page = page
        self._open_file()
        self._fresh()
        _forks.remember(self)

    def _open_file(self) -> None:
        path = os.path.join(self._folder, "queue")
        self.lost = True
        self._fd = -1
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise translated(error, path) from error
        self.lost = False

    def _fresh(self) -> None:
        self._pid = os.getpid()
        self._gate: Any = threading.RLock()  # Any: its `_is_owned` has no type
        self._door: Any = threading.RLock()
        self._waiting = False
        self._owner: ref[_Token] | None = None
        self._porter = Porter()

    def after_fork(self) -> None:
        """Hold nothing in the child, and have a descriptor of its own."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fresh()
        if not self.lost:
            try:
                self._open_file()
            except SpaceError:  # whoever takes it is told
                pass

    @property
    def held(self) -> bool:
        """Whether this thread holds the queue.

        The gate knows its owner by an ident, which another thread may have by now. So
        whose token is gone is not this thread.
        """
        if not self._gate._is_owned():
            return False
        owner = self._owner
        return owner is None or owner() is not None

    def take(self, deadline: float | None = None) -> None:
        """Wait until nobody else holds the queue, and hold it.

        Args:
            deadline: Until when to wait, on the clock of `time.monotonic`; None
                for as long as the process that holds it is not stopped. If it has
                passed, one attempt is made all the same.

        Raises:
            SpaceBusyError: The deadline passed, or who holds it is stopped. The
                message names him.
            SpaceClosedError: The space is closed.
            WouldDeadlockError: This thread holds the queue.
        """
        try:
            me = _local.me
        except AttributeError:
            me = _me()
        if self._owner is me:
            msg = f"this thread holds the writers' queue of {self._folder} already"
            raise WouldDeadlockError(msg)
        page = self._page
        try:
            if self._waiting or page.bytes[LINE] or not self._gate.acquire(False):
                self._take_in_turn(me, deadline)
                return
            self._owner = me
            if self._porter.busy:
                self._lock_file(deadline)
            else:
                try:
                    lockf(self._fd, LOCK_EX | LOCK_NB, 1, 0)
                except (BlockingIOError, PermissionError):
                    self._lock_file(deadline)
            page.numbers[HOLDER] = self._pid
        except BaseException as error:
            self._give_up()
            if isinstance(error, (OSError, ValueError)):
                raise self._told(error) from error
            raise

    def leave(self) -> None:
        """Let the next one have the queue."""
        gate = self._gate
        if not gate._is_owned():
            msg = f"this thread does not hold the writers' queue of {self._folder}"
            raise SpaceError(msg)
        try:
            lockf(self._fd, LOCK_UN, 1, 0)
        except (OSError, ValueError):
            if self._fd >= 0:  # else it was closed, which lets go of the lock
                raise
        finally:
            self._owner = None
            gate.release()
            while gate._is_owned():  # an exception had come in while it was taken
                gate.release()

    def close(self) -> None:
        """Close the file. Nobody in this process may hold the queue or wait for it."""
        if self._porter.busy:
            _kept[self._folder] = self  # it still waits, and will let go at once
        elif not self.lost:
            self.lost = True
            fd, self._fd = self._fd, -1
            os.close(fd)

    def _take_in_turn(self, me: ref[_Token], deadline: float | None) -> None:
        door = self._door
        try:
            while not door.acquire(True, self._slice(deadline)):
                self._look(deadline)
            self._waiting = True
            while not self._gate.acquire(True, self._slice(deadline)):
                self._look(deadline)
            self._owner = me
        finally:
            while door._is_owned():
                self._waiting = False
                door.release()
        self._lock_file(deadline)
        self._page.numbers[HOLDER] = self._pid

    def _slice(self, deadline: float | None) -> float:
        if deadline is None:
            return _LOOK
        return min(_LOOK, max(0.0, deadline - monotonic()))

    def _look(self, deadline: float | None) -> None:
        """See whether time is up, or the thread that holds the queue has ended."""
        if deadline is not None and monotonic() >= deadline:
            raise self._busy(mine=True)
        owner = self._owner
        if owner is None or owner() is not None:
            return
        with self._porter.lock:
            if self._owner is owner:
                if not self._porter.busy:
                    lockf(self._fd, LOCK_UN)
                self._gate = threading.RLock()
                self._owner = None

    def _lock_file(self, deadline: float | None) -> None:
        """Wait for the file; this thread has the gate."""
        fd, porter = self._fd, self._porter
        if not porter.busy:
            try:
                lockf(fd, LOCK_EX | LOCK_NB, 1, 1)
                lockf(fd, LOCK_EX | LOCK_NB, 1, 0)
            except (BlockingIOError, PermissionError):
                pass
            else:
                self._page.bytes[LINE] = 0
                lockf(fd, LOCK_UN, 1, 1)
                return
        while True:
            end = monotonic() + _PATIENCE if deadline is None else deadline
            if porter.fetch(fd, self._page, end):
                return
            error = self._busy(mine=False)
            if deadline is not None or error.stopped:
                raise error

    def _give_up(self) -> None:
        """Undo what `take` has done so far in this thread."""
        gate, door = self._gate, self._door
        while door._is_owned():
            self._waiting = False
            door.release()
        if gate._is_owned():
            with self._porter.lock:
                if not self._porter.busy and self._fd >= 0:
                    lockf(self._fd, LOCK_UN)
            self._owner = None
            while gate._is_owned():
                gate.release()

    def _told(self, error: Exception) -> Exception:
        if self._fd < 0:
            return closed(self._folder)
        return translated(error, os.path.join(self._folder, "queue"))

    def _busy(self, *, mine: bool) -> SpaceBusyError:
        pid = self._page.numbers[HOLDER]
        who = "another thread of this process" if mine else f"process {pid}"
        what = "wait longer, or make the transactions of that one shorter"
        stopped = not mine and _is_stopped(pid)
        if stopped:
            who += " (stopped)"
            what = f"continue it (kill -CONT {pid}) or end it, and the queue is free"
        error = SpaceBusyError(
            f"{who} holds the writers' queue of {self._folder}: {what}"
        )
        error.stopped = stopped
        return error


def _is_stopped(pid: int) -> bool:
    """Whether the system says that this process is stopped."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] in (b"T", b"t")
    except (OSError, IndexError):
        return False
