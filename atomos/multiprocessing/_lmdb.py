"""A space in LMDB: a file that is mapped into memory, with its own versions.

The number of a commit is the one that LMDB gives its write transaction. It gives none
twice, and none to a transaction that writes nothing or is aborted. A reader's number
is read before the page that it will read from, so it may be too low for what it sees.

Speed. `commit` costs little more than the calls of py-lmdb in it. Hence it is one
function, nothing is looked up twice, and whether the space is open is not asked:
`_begin` is the method of the open environment, or one that opens it or refuses.

Rules that LMDB has, and how they are kept.

- Only who holds the queue of the space begins a write transaction, as a signal does
  not wake who waits for LMDB's own lock. That one is free then, or its holder is dead;
  in that case LMDB repairs its state when the next write transaction begins, which is
  all that `settle` has to do.
- An environment is opened once in a process, and anew in a child. The inherited one
  is never used or closed: that would end the snapshots of the parent. py-lmdb notes
  what is open by the identity of the file, and the notes of the parent are inherited,
  so its function that makes them is told to add the process (see `_pylmdb.py`).
- A reader that was killed keeps old pages alive. Such ones are looked for when the
  space is opened, when a new client commits now and then, and when the map is full.
- Without ``durable``, nothing is synchronised with the disk: the system has all that a
  killed process has written, but a loss of power may damage the file.

Marks. When a client commits for the first time, which is looked at for every 64th in a
process, and there are more than 1,000 marks, all but the newest 500 are dropped.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, NoReturn

from atomos.errors import SpaceClosedError
from atomos.multiprocessing import _forks
from atomos.multiprocessing._faults import closed, corrupt, fail
from atomos.multiprocessing._page import MADE
from atomos.multiprocessing._pylmdb import load
from atomos.multiprocessing._store import KEEP, MARKS, STATE, Store

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["LmdbEngine"]

_MANY_READERS = 1024
_SPARE = 128
_FORMAT = b"atomos 1"


class LmdbSnapshot:
    """A read transaction of LMDB."""

    __slots__ = ("_get", "_now", "_path", "_txn", "number")

    def __init__(self, txn: Any, path: str) -> None:
        """Take over a transaction that has just begun."""
        self._txn = txn
        self._get: Callable[[bytes], bytes | None] = txn.get
        self._now = _forks.now
        self._path = path
        self.number: int = txn.id()

    def get(self, key: bytes) -> bytes | None:
        """Return the record under this key, or None if there is none."""
        if self._now is not _forks.now:
            msg = f"a snapshot of {self._path} belongs to the process that began it"
            raise SpaceClosedError(msg)
        try:
            return self._get(key)
        except Exception as error:
            fail(error, self._path)

    def end(self) -> None:
        """Give up the snapshot; any thread may do so, and more than once."""
        if self._now is _forks.now:
            self._txn.abort()


class LmdbEngine(Store):
    """One space in LMDB, as this process has it open."""

    name = "LMDB"
    file = "space.lmdb"

    tried = 0
    _begin: Callable[..., Any]

    def _start(self) -> None:
        self._env: Any = None
        self._opening = threading.Lock()
        self._begin = self._begin_anew
        self._clients: set[bytes] = set()
        self._looked = 0

    def _open(self) -> None:
        self._open_environment()
        with self._begin() as txn:
            state = txn.get(STATE)
            empty = txn.stat()["entries"] == 0
        if state is None and empty:
            with self._begin(None, None, True) as txn:
                txn.put(STATE, txn.id().to_bytes(8, "big") + _FORMAT)
        elif state is None or state[8:] != _FORMAT:
            raise corrupt(self.path, "is of another program")

    def _open_environment(self) -> None:
        # Only now, as on a free-threaded build its import brings the GIL back.
        lmdb: Any = load()
        env = lmdb.open(
            self.path,
            map_size=self._size,
            subdir=False,
            mode=0o600,
            metasync=self._durable,
            sync=self._durable,
            max_readers=_MANY_READERS,
            max_spare_txns=_SPARE,
        )
        env.reader_check()
        info, page = env.info(), env.stat()["psize"]
        if self._page.bytes[MADE] and self._length() < (info["last_pgno"] + 1) * page:
            env.close()
            raise corrupt(self.path, "is cut off")
        self._env = env
        self._begin = env.begin

    def _begin_anew(self, *arguments: Any) -> Any:
        """Open the environment in a child, and begin a transaction."""
        with self._opening:
            if self._env is None:
                self._open_environment()
        return self._begin(*arguments)

    def _begin_closed(self, *arguments: Any) -> Any:
        raise closed(self.path)

    def after_fork(self) -> None:
        """Leave the environment to the parent; the next call opens a new one."""
        if self._env is not None:
            _forks.keep(self._env)
            self._start()

    def _close(self) -> None:
        self._begin = self._begin_closed
        env, self._env = self._env, None
        if env is not None:
            env.close()

    def snapshot(self) -> LmdbSnapshot:
        """Begin a snapshot of what is there now."""
        try:
            return LmdbSnapshot(self._begin(), self.path)
        except Exception as error:
            fail(error, self.path)

    def get(self, key: bytes) -> bytes | None:
        """Return the newest record under this key, or None if there is none."""
        txn = None
        try:
            txn = self._begin()
            return txn.get(key)  # type: ignore[no-any-return] # lmdb has no types
        except Exception as error:
            fail(error, self.path)
        finally:
            if txn is not None:
                txn.abort()

    def number(self) -> int:
        """Return the number of the newest commit; may be too low, never too high."""
        txn = None
        try:
            # Not from the environment's info: a commit is in there before it is seen.
            txn = self._begin()
            return txn.id()  # type: ignore[no-any-return] # lmdb has no types
        except Exception as error:
            fail(error, self.path)
        finally:
            if txn is not None:
                txn.abort()

    def commit(
        self,
        read: Mapping[bytes, bytes | None],
        writes: Mapping[bytes, bytes],
        client: bytes,
        mark: bytes,
        since: int,
    ) -> int | None:
        """Write if what was read is unchanged. The caller holds the queue."""
        txn = None
        try:
            txn = self._begin(None, None, True)
            number: int = txn.id()
            if number != since + 1:
                get = txn.get
                for key, seen in read.items():
                    record = get(key)
                    if record != seen and (
                        record is None or seen is None or record[:8] != seen[:8]
                    ):
                        txn.abort()
                        return None
            stamp = number.to_bytes(8, "big")
            put = txn.put
            for key, payload in writes.items():
                put(key, stamp + payload)
            if client:
                if client not in self._clients:
                    self._welcome(txn, client)
                put(MARKS + client, stamp + mark)
            self.tried = number
            txn.commit()
            return number
        except BaseException as error:
            if txn is not None:
                txn.abort()
            if isinstance(error, Exception):
                self._failed(error)
            raise

    def settle(self) -> None:
        """Finish or undo what a killed writer left. The caller holds the queue."""
        txn = None
        try:
            txn = self._begin(None, None, True)
        except Exception as error:
            fail(error, self.path)
        finally:
            if txn is not None:
                txn.abort()

    def mark(self, client: bytes) -> bytes | None:
        """Return a stamp and the mark of the client's newest commit, if known."""
        return self.get(MARKS + client)

    def _failed(self, error: Exception) -> NoReturn:
        """Raise the error of a commit; make room for the next if readers have died."""
        if type(error).__name__ == "MapFullError" and self._env is not None:
            self._env.reader_check()
        fail(error, self.path)

    def _welcome(self, txn: Any, client: bytes) -> None:
        """Remember a new client; now and then, drop the oldest marks."""
        if self._looked % 64 == 0:
            if self._env is not None:
                self._env.reader_check()
            marks = self._marks(txn)
            if len(marks) > KEEP:
                marks.sort()
                for _, key in marks[: len(marks) - KEEP // 2]:
                    txn.delete(key)
            self._clients.clear()
        self._looked += 1
        self._clients.add(client)

    def _marks(self, txn: Any) -> list[tuple[bytes, bytes]]:
        """Return the stamp and the key of each mark."""
        found = []
        with txn.cursor() as cursor:
            cursor.set_range(MARKS)
            for key, record in cursor:
                if not key.startswith(MARKS):
                    break
                found.append((record[:8], key))
        return found
