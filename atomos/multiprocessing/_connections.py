"""Connections to the file of a space in SQLite.

A connection is used by one call at a time, or by one snapshot until that is ended.
Those that are idle wait here; so the calls of threads do not wait for each other.

What survives. Each commit is in SQLite's log, with a checksum. Without ``durable``, the
setting is ``synchronous=OFF``: a commit has been given to the system when it returns,
so it survives when the process is killed, but a loss of power may damage the file. With
``durable`` it is FULL, which synchronises the log in each commit.

Forks. SQLite keeps books, one for each file, of the locks that the process has on it.
The child inherits the books and has none of the locks. So a connection that it opened
beside inherited ones would be without protection: somebody else could take himself for
the last one and remove the log. Hence the child closes those first. In general that is
not safe. Here it is: no thread was inside of SQLite at the fork (see `_calls.py`);
those that read have nothing to roll back; and the parent still has its locks, so the
child does not take itself for the last one either. One that was writing, if ever, is
kept.

No other code opens the file: to close it would drop all locks of the process on it.
"""

from __future__ import annotations

import sqlite3
from collections import deque

from atomos.multiprocessing import _forks
from atomos.multiprocessing._calls import entered, left, others_inside
from atomos.multiprocessing._faults import closed

__all__ = ["Pool"]

#: Seconds for which SQLite tries again to get a lock of its own. It needs one when a
#: file is opened or closed, or a log is recovered after a kill.
_TRY = 10.0
#: So many idle connections are kept.
_IDLE = 16


class Pool:
    """The connections of this process to one file.

    Attributes:
        shut: It was closed; what is given back is closed, too.
        writing: The connection that is writing, if one is.
    """

    def __init__(self, path: str, *, durable: bool, size: int) -> None:
        """Have none yet."""
        self._path = path
        self._durable = durable
        self._size = size
        self._idle: deque[sqlite3.Connection] = deque()
        self._all: set[sqlite3.Connection] = set()
        self.shut = False
        self.writing: sqlite3.Connection | None = None

    def take(self) -> sqlite3.Connection:
        """Return a connection that nobody else has. The caller is inside."""
        if self.shut:
            raise closed(self._path)
        try:
            return self._idle.pop()
        except IndexError:
            return self._connect()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, isolation_level=None, check_same_thread=False, timeout=_TRY
        )
        try:
            connection.execute("PRAGMA journal_mode = WAL").fetchone()
            level = "FULL" if self._durable else "OFF"
            connection.execute(f"PRAGMA synchronous = {level}")
            page = connection.execute("PRAGMA page_size").fetchone()[0]
            most = max(16, self._size // page)
            connection.execute(f"PRAGMA max_page_count = {most}").fetchone()
        except BaseException:
            connection.close()
            raise
        self._all.add(connection)
        return connection

    def give_back(self, connection: sqlite3.Connection) -> None:
        """End what the connection has begun, and let others have it.

        The caller is inside. So if it is not shut yet, `close` finds us inside, and
        leaves the connection to us; else we do not call it any more.
        """
        if self.shut:
            self._drop(connection)
            return
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        except sqlite3.Error:
            self._drop(connection)  # it is of no more use
            return
        if len(self._idle) >= _IDLE:
            self._drop(connection)
        else:
            self._idle.append(connection)
            if self.shut:  # it was closed in between
                self._close_idle()

    def _drop(self, connection: sqlite3.Connection) -> None:
        """Close a connection, unless somebody else does: who takes it out of `_all`."""
        try:
            self._all.remove(connection)
        except KeyError:
            return
        connection.close()

    def close(self) -> None:
        """Close all connections; if a thread is in a call, only those that are idle.

        To close one under a call would crash the process: it is closed when it is given
        back. Who is not inside of SQLite yet will see that it is shut.
        """
        self.shut = True
        try:
            entered()
            self._close_idle()
            while self._all and not others_inside():
                try:
                    connection = self._all.pop()
                except KeyError:
                    break  # the last one was given back just now
                connection.close()
        finally:
            left()

    def _close_idle(self) -> None:
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return
            self._drop(connection)

    def after_fork(self) -> None:
        """In the child, close what was inherited; the next call opens new ones."""
        if self.writing is not None:
            self._all.discard(self.writing)
            _forks.keep(self.writing)
            self.writing = None
        self._idle.clear()
        while self._all:
            try:
                self._all.pop().close()
            except sqlite3.Error:
                pass
