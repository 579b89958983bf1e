"""Waking those that wait for a commit, in whatever process they are.

Who waits hangs up a *bell*: a socket with a name in the folder of the space. He sets
the byte `BELL` of the shared page, looks at the number of the newest commit, and
sleeps on the socket if it is not new enough. Who commits looks at the byte after his
commit, with the queue still held. So one of the two sees the other. If the byte is not
set, that was all, and no system call was made.

If it is set, the committer clears it *first*, then rings each bell in the folder, and
sets the byte again if any is left. If he is killed after he has cleared it, those whom
he did not ring would sleep through all later commits; and if he is killed just after
his commit, through that one. So a waiter looks by himself once in a second (`_LOOK`),
and sets the byte anew. Nobody but the holder of the queue clears the byte; anybody may
set it.

A bell that nobody listens to refuses the datagram that rings it: that of a process that
was killed is removed so. A full one has been rung already. A bell belongs to the one
process that hung it up; a child has to hang up its own.
"""

from __future__ import annotations

import os
import select
import socket
from _thread import allocate_lock
from contextlib import suppress
from itertools import count

from atomos.multiprocessing import _forks
from atomos.multiprocessing._faults import fail, translated
from atomos.multiprocessing._page import BELL, Page

__all__ = ["Bell", "Bells"]

#: Seconds after which a waiter makes sure that the byte is set.
_LOOK = 1.0
_RING = b"\1"
_CLOSE = b"\0"
_names = count()


class Bells:
    """The bells of one space."""

    def __init__(self, folder: str) -> None:
        """Make the folder of the bells, if there is none."""
        self._page = Page(folder)
        self._bytes = self._page.bytes
        self._folder = os.path.join(folder, "bells")
        try:
            os.makedirs(self._folder, 0o700, exist_ok=True)
        except OSError as error:
            fail(error, self._folder)

    def ring(self) -> None:
        """Wake all that wait. The caller holds the queue, and has committed."""
        if self._bytes[BELL]:
            self._ring()

    def hang(self) -> Bell:
        """Hang up a bell. Look at the newest number after that, before waiting."""
        return Bell(self._folder, self._page)

    def _ring(self) -> None:
        self._bytes[BELL] = 0
        left = True
        try:
            left = self._ring_each()
        except OSError:
            pass  # the commit is done, so this must not fail; the next one rings
        finally:
            if left:
                self._bytes[BELL] = 1

    def _ring_each(self) -> bool:
        """Ring each bell; whether there is one."""
        left = False
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as caller:
            caller.setblocking(False)
            for name in os.listdir(self._folder):
                if not name.startswith("."):
                    path = os.path.join(self._folder, name)
                    left |= _send(caller, path, _RING)
        return left


def _send(caller: socket.socket, path: str, message: bytes) -> bool:
    """Send to a bell; whether anybody listens to it."""
    with _Address(path) as address:
        try:
            caller.sendto(message, address)
        except (ConnectionRefusedError, FileNotFoundError):
            with suppress(OSError):
                os.unlink(path)
            return False
        except OSError:  # full: it has been rung
            return True
    return True


class _Address:
    """A path that is short enough for a socket, which has room for 100 bytes only."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._fd = -1

    def __enter__(self) -> str:
        if len(os.fsencode(self._path)) < 100:
            return self._path
        folder, name = os.path.split(self._path)
        self._fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        return f"/proc/self/fd/{self._fd}/{name}"

    def __exit__(self, *_: object) -> None:
        if self._fd >= 0:
            os.close(self._fd)


class Bell:
    """A bell of this process. Any of its threads may wait for it, one at a time."""

    def __init__(self, folder: str, page: Page) -> None:
        """Hang it up and set the byte."""
        name = f"{os.getpid()}-{next(_names)}-{os.urandom(4).hex()}"
        self._path = os.path.join(folder, name)
        self._bytes = page.bytes
        self._closed = self._waiting = False
        self._lock = allocate_lock()
        # While a socket gets its name, it refuses what is sent to it, as a dead one.
        hidden = os.path.join(folder, "." + name)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            self._socket.setblocking(False)
            with _Address(hidden) as address:
                self._socket.bind(address)
            os.chmod(hidden, 0o600)
            os.rename(hidden, self._path)
        except OSError as error:
            self._socket.close()
            raise translated(error, folder) from error
        _forks.remember(self)
        self._bytes[BELL] = 1

    def after_fork(self) -> None:
        """Close the child's copy: as long as there is one, nothing is refused."""
        self._closed = True
        self._lock = allocate_lock()
        self._socket.close()

    def wait(self, timeout: float | None) -> bool:
        """Sleep until it is rung, closed, or the timeout passes.

        Args:
            timeout: Seconds; None for no limit.

        Returns:
            Whether to look at the newest number now: it was rung, or a second has
            passed. False if the timeout has passed first, or it is closed.
        """
        with self._lock:
            if self._closed:
                return False
            self._waiting = True
        try:
            self._bytes[BELL] = 1
            short = timeout is not None and timeout < _LOOK
            seconds = max(0.0, timeout or 0.0) if short else _LOOK
            waiting = select.poll()
            waiting.register(self._socket, select.POLLIN)
            if not waiting.poll(seconds * 1000):
                return not short
            return self._heard()
        finally:
            with self._lock:
                self._waiting = False
                if self._closed:
                    self._socket.close()

    def _heard(self) -> bool:
        """Take all that was sent; whether it was rung."""
        rung = False
        while True:
            try:
                rung |= self._socket.recv(1) == _RING
            except OSError:  # there is no more, or it was closed
                return rung and not self._closed

    def close(self) -> None:
        """Take it down; who waits for it wakes up."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            if not self._waiting:
                self._socket.close()
        if self._waiting:
            with suppress(OSError):
                with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as caller:
                    caller.setblocking(False)
                    _send(caller, self._path, _CLOSE)
        with suppress(OSError):
            os.unlink(self._path)
