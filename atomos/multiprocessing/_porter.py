"""Waiting for the lock of a file with a deadline, which the kernel does not offer.

A thread, the *porter*, waits for the lock, and hands it over to who wanted it. If
nobody does any more, it lets go at once. It cannot be called back, so while it waits
(`busy`) no other thread of the process may touch the lock: to the kernel all threads
are one holder, and what one takes, another would give away. Who comes next waits for
the same porter.

The kernel may say that to wait would be a deadlock, when this process and another wait
for each other in two different spaces, in different threads. It does not know of
threads. So the attempt is repeated a millisecond later.
"""

from __future__ import annotations

import errno
from _thread import LockType, allocate_lock, start_new_thread
from fcntl import LOCK_EX, LOCK_UN, lockf
from time import monotonic, sleep
from typing import TYPE_CHECKING

from atomos.multiprocessing._page import LINE
from atomos.stm._gate import pass_gate

if TYPE_CHECKING:
    from atomos.multiprocessing._page import Page

__all__ = ["Porter"]


def _lock_in_turn(fd: int, page: Page) -> None:
    """Wait for byte 1, the door; then, with the sign set, for byte 0."""
    _lock(fd, 1)
    page.bytes[LINE] = 1
    _lock(fd, 0)
    page.bytes[LINE] = 0
    lockf(fd, LOCK_UN, 1, 1)


def _lock(fd: int, byte: int) -> None:
    while True:
        try:
            lockf(fd, LOCK_EX, 1, byte)
            return
        except OSError as error:
            if error.errno != errno.EDEADLK:
                raise
        sleep(0.001)


class Porter:
    """Waits for the file on behalf of one thread at a time, which has the gate.

    Attributes:
        busy: Whether a porter waits for the lock, or has it and nobody was told.
        lock: Held while the fields change.
    """

    __slots__ = ("_bell", "_error", "_has", "_wanted", "busy", "lock")

    def __init__(self) -> None:
        """There is no porter yet."""
        self.lock = allocate_lock()
        self.busy = False
        self._wanted: object = None
        self._has: object = None
        self._error: OSError | None = None
        self._bell: LockType = allocate_lock()

    def fetch(self, fd: int, page: Page, deadline: float) -> bool:
        """Have the lock fetched; whether it was before the deadline."""
        me = object()
        got = False
        try:
            with self.lock:
                self._wanted = me
                if not self.busy:
                    self._bell = allocate_lock()
                    self._bell.acquire()
                    self._error = None
                    self.busy = True
                    try:
                        start_new_thread(self._carry, (fd, page, self._bell))
                    except BaseException:
                        self.busy = False
                        raise
            pass_gate(self._bell, max(0.0, deadline - monotonic()))
        finally:
            with self.lock:
                self._wanted = None
                got = self._has is me
                self._has = None
        if self._error is not None:
            raise self._error
        return got

    def _carry(self, fd: int, page: Page, bell: LockType) -> None:
        error = None
        try:
            _lock_in_turn(fd, page)
        except OSError as caught:
            error = caught
        with self.lock:
            if error is not None:
                self._error = error if self._wanted is not None else None
            elif self._wanted is not None:
                self._has = self._wanted
            else:
                lockf(fd, LOCK_UN)
            self.busy = False
        bell.release()
