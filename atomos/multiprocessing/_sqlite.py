"""A space in SQLite: a file and its write-ahead log, from the standard library.

One table holds the records, the marks and the state. The record of the state has as
its stamp the number of the newest commit, so each commit writes it.

A snapshot is a read transaction, which begins when it reads the state: its number is
exact. Only who holds the queue of the space writes, so SQLite's own lock of writers,
for which one waits by trying again and again, is free, or its holder is dead and the
system has dropped it. What a killed writer has left in the log without the end of its
commit is ignored by all that read, and the next writer writes over it; `settle` sees
that there is such a writer, and so that SQLite's books are in order.

How connections are kept, what survives, and what happens at a fork is told in
`_connections.py`; why each call notes that it is inside of SQLite, in `_calls.py`.

Marks. When a client commits for the first time, which is looked at for every 64th in a
process, and there are more than 1,000 marks, all but the newest 500 are dropped.
"""

from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING, Any

from atomos.errors import SpaceClosedError
from atomos.multiprocessing import _forks
from atomos.multiprocessing._calls import entered, left
from atomos.multiprocessing._connections import Pool
from atomos.multiprocessing._faults import closed, corrupt, fail
from atomos.multiprocessing._page import MADE
from atomos.multiprocessing._store import KEEP, MARKS, STATE, Store

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SqliteEngine"]

#: What tells our files from those of others: "atom".
_APPLICATION = 0x61746F6D

_GET = "SELECT record FROM records WHERE key = ?"
_PUT = "INSERT OR REPLACE INTO records VALUES (?, ?)"
_MAKE = "CREATE TABLE records (key BLOB PRIMARY KEY, record BLOB) WITHOUT ROWID"
_DROP = "DELETE FROM records WHERE key = ?"
_BEGIN = "BEGIN IMMEDIATE"
_MARKS = "SELECT substr(record, 1, 8), key FROM records WHERE key >= ? AND key < ?"


def _get(connection: sqlite3.Connection, key: bytes) -> bytes | None:
    row = connection.execute(_GET, (key,)).fetchone()
    return None if row is None else row[0]


def _number(connection: sqlite3.Connection) -> int:
    record = _get(connection, STATE)
    if record is None:
        raise sqlite3.DatabaseError("no such table: the state is missing")
    return int.from_bytes(record[:8], "big")


class SqliteSnapshot:
    """A connection in the middle of a read transaction."""

    __slots__ = ("_connection", "_now", "_path", "_pool", "number")

    def __init__(self, pool: Pool, path: str, connection: sqlite3.Connection) -> None:
        """Begin to read with this connection."""
        self._pool = pool
        self._path = path
        self._now = _forks.now
        self._connection: sqlite3.Connection | None = connection
        connection.execute("BEGIN")
        self.number = _number(connection)

    def get(self, key: bytes) -> bytes | None:
        """Return the record under this key, or None if there is none."""
        if self._now is not _forks.now:
            msg = f"a snapshot of {self._path} belongs to the process that began it"
            raise SpaceClosedError(msg)
        connection = self._connection
        if connection is None:
            raise SpaceClosedError(f"this snapshot of {self._path} was ended")
        try:
            entered()
            if self._pool.shut:
                raise closed(self._path)
            return _get(connection, key)
        except Exception as error:
            fail(error, self._path)
        finally:
            left()

    def end(self) -> None:
        """Give up the snapshot; any thread may do so, and more than once."""
        if self._now is _forks.now:
            connection, self._connection = self._connection, None
            if connection is not None:
                try:
                    entered()
                    self._pool.give_back(connection)
                finally:
                    left()


class SqliteEngine(Store):
    """One space in SQLite, as this process has it open."""

    name = "SQLite"
    tried = 0
    file = "space.sqlite"

    def _start(self) -> None:
        self._pool = Pool(self.path, durable=self._durable, size=self._size)
        self._clients: set[bytes] = set()
        self._looked = 0

    def _open(self) -> None:
        if not self._page.bytes[MADE]:
            # SQLite would let others read it. Nobody in this process has it open.
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        connection = None
        try:
            entered()
            connection = self._pool.take()
            self._make(connection)
        finally:
            if connection is not None:
                self._pool.give_back(connection)
            left()

    def _make(self, connection: sqlite3.Connection) -> None:
        """Make the table, if this file is new."""
        connection.execute(_BEGIN)
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        tables = connection.execute("SELECT name FROM sqlite_master").fetchall()
        if application != _APPLICATION and (application or tables):
            raise corrupt(self.path, "is of another program")
        if not tables:
            connection.execute(f"PRAGMA application_id = {_APPLICATION}")
            connection.execute(_MAKE)
            connection.execute(_PUT, (STATE, bytes(8)))
        connection.execute("COMMIT")

    def after_fork(self) -> None:
        """Have nothing open in the child."""
        self._pool.after_fork()

    def _close(self) -> None:
        self._pool.close()

    def snapshot(self) -> SqliteSnapshot:
        """Begin a snapshot of what is there now."""
        connection = None
        try:
            entered()
            connection = self._pool.take()
            return SqliteSnapshot(self._pool, self.path, connection)
        except BaseException as error:
            if connection is not None:
                self._pool.give_back(connection)
            if isinstance(error, Exception):
                fail(error, self.path)
            raise
        finally:
            left()

    def get(self, key: bytes) -> bytes | None:
        """Return the newest record under this key, or None if there is none."""
        connection = None
        try:
            entered()
            connection = self._pool.take()
            return _get(connection, key)
        except Exception as error:
            fail(error, self.path)
        finally:
            if connection is not None:
                self._pool.give_back(connection)
            left()

    def number(self) -> int:
        """Return the number of the newest commit."""
        record = self.get(STATE)
        if record is None:
            raise corrupt(self.path, "has lost its state")
        return int.from_bytes(record[:8], "big")

    def commit(
        self,
        read: Mapping[bytes, bytes | None],
        writes: Mapping[bytes, bytes],
        client: bytes,
        mark: bytes,
        since: int,
    ) -> int | None:
        """Write if what was read is unchanged. The caller holds the queue."""
        connection = None
        try:
            entered()
            connection = self._pool.writing = self._pool.take()
            execute = connection.execute
            execute(_BEGIN)
            newest = _number(connection)
            if newest != since:
                for key, seen in read.items():
                    record = _get(connection, key)
                    if record != seen and (
                        record is None or seen is None or record[:8] != seen[:8]
                    ):
                        return None
            number = newest + 1
            stamp = number.to_bytes(8, "big")
            for key, payload in writes.items():
                execute(_PUT, (key, stamp + payload))
            if client:
                if client not in self._clients:
                    self._welcome(connection, client)
                execute(_PUT, (MARKS + client, stamp + mark))
            execute(_PUT, (STATE, stamp))
            self.tried = number
            execute("COMMIT")
            return number
        except Exception as error:
            fail(error, self.path)
        finally:
            if connection is not None:
                self._pool.writing = None
                self._pool.give_back(connection)
            left()

    def settle(self) -> None:
        """Finish or undo what a killed writer left. The caller holds the queue."""
        connection = None
        try:
            entered()
            connection = self._pool.writing = self._pool.take()
            connection.execute(_BEGIN)
            connection.execute("COMMIT")
        except Exception as error:
            fail(error, self.path)
        finally:
            if connection is not None:
                self._pool.writing = None
                self._pool.give_back(connection)
            left()

    def mark(self, client: bytes) -> bytes | None:
        """Return a stamp and the mark of the client's newest commit, if known."""
        return self.get(MARKS + client)

    def _welcome(self, connection: sqlite3.Connection, client: bytes) -> None:
        """Remember a new client; now and then, drop the oldest marks."""
        if self._looked % 64 == 0:
            after = bytes([MARKS[0] + 1])
            marks: list[Any] = connection.execute(_MARKS, (MARKS, after)).fetchall()
            if len(marks) > KEEP:
                marks.sort()
                old = ((key,) for _, key in marks[: len(marks) - KEEP // 2])
                connection.executemany(_DROP, old)
            self._clients.clear()
        self._looked += 1
        self._clients.add(client)
