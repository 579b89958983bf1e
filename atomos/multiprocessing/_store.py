"""What the engines have in common: being opened, counted, and closed.

A process has one engine for each folder. It is opened with the queue of writers held,
so that two processes do not make the files at the same time, and so that what a killed
writer has left is over. A bit in the shared page says that the files were made. If one
of them is missing or empty from then on, it was damaged, and is not made anew.
"""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from time import monotonic

from atomos.multiprocessing import _forks
from atomos.multiprocessing._faults import corrupt, fail
from atomos.multiprocessing._page import MADE, Page
from atomos.multiprocessing._queue import open_queue

__all__ = ["KEEP", "MARKS", "STATE", "Store", "stores"]

#: Keys of the records that are the engine's own: the first byte of marks; the state.
MARKS = b"m"
STATE = b"s"
#: So many marks are kept at least, up to twice as many for a while.
KEEP = 1000

#: Seconds to wait for a writer when a space is opened.
_PATIENCE = 60.0


class Stores:
    """What this process has open, by folder."""

    def __init__(self) -> None:
        """Nothing is open."""
        self.lock = threading.Lock()
        self.open: dict[str, Store] = {}

    def after_fork(self) -> None:
        """Keep what is open; nobody holds the lock in the child."""
        self.lock = threading.Lock()


stores = Stores()
_forks.remember(stores)


class Store(ABC):
    """One space, as this process has it open."""

    name: str
    file: str

    def __init__(self, folder: str, *, durable: bool, size: int) -> None:
        """Open the space in this folder, and make its files if there are none."""
        self.folder = folder
        self.path = os.path.join(folder, self.file)
        self._durable = durable
        self._size = size
        self._page = Page(folder)
        self.queue = open_queue(folder, self._page)
        self.opened = 0
        self._start()
        try:
            self.queue.take(monotonic() + _PATIENCE)
            try:
                self._prepare()
            finally:
                self.queue.leave()
        except BaseException:
            self._close()
            self.queue.close()
            raise
        _forks.remember(self)

    def _prepare(self) -> None:
        made = self._page.bytes[MADE]
        if made and not self._length():
            raise corrupt(self.path, "is missing or empty")
        try:
            self._open()
            if not made:
                if self._durable:
                    _sync_folder(self.folder)
                self._page.bytes[MADE] = 1
        except Exception as error:
            fail(error, self.path)

    def _length(self) -> int:
        """Return the length of the file, without opening it."""
        try:
            return os.stat(self.path).st_size
        except FileNotFoundError:
            return 0

    def close(self) -> None:
        """Close the space for this process, once all that opened it have."""
        with stores.lock:
            self.opened -= 1
            if self.opened == 0:
                del stores.open[self.folder]
                self._close()
                self.queue.close()

    @abstractmethod
    def _start(self) -> None:
        """Have nothing open."""

    @abstractmethod
    def _open(self) -> None:
        """Open the files. The queue is held."""

    @abstractmethod
    def _close(self) -> None:
        """Close the files, if they are open."""

    @abstractmethod
    def after_fork(self) -> None:
        """Have nothing open in the child, and use nothing that the parent has."""


def _sync_folder(folder: str) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
