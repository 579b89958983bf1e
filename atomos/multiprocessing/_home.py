"""A space as the engine of transactions sees it: the home of shared cells.

The protocol
------------
A storage engine (`_engine`) keeps a record for each cell: the number of the commit that
wrote it, the stamp, and the value as bytes. A cell without a record has its initial
value, which each process that has the cell knows.

An attempt reads in a snapshot of the engine, and notes the records that it has seen.
To commit, it

1. encodes what it has written, and asks the validators,
2. takes the queue of those who write, which one thread of all processes has at a time,
3. computes its commutes, each on the newest record,
4. hands the records that it has seen, and the new values, to the engine, which writes
   them in one step if all that was seen is still newest,
5. rings the bells of who waits, and leaves the queue.

No code of the user runs in step 4; so in the engine's own write transaction, which
nobody can wait for with a deadline, nobody lingers. A plain block, and an attempt that
has lost often, takes the queue before its first read, and reads the newest records:
nobody else can write until it ends. The kernel lets go of the queue when its holder
dies, and the engine forgets what was not committed.

A change of one cell outside a transaction is steps 2 to 5 with a read in between; if
it calls a function of the user's, it is tried without the queue first.
"""

from __future__ import annotations

from threading import RLock
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar
from weakref import WeakValueDictionary

from atomos.errors import SpaceClosedError, WouldDeadlockError
from atomos.multiprocessing._codec import decode, encode
from atomos.multiprocessing._guest import Visitor
from atomos.multiprocessing._listener import Listener
from atomos.multiprocessing._seen import Seen
from atomos.stm._home import KEEP
from atomos.stm._inside import inside

if TYPE_CHECKING:
    from collections.abc import Callable

    from atomos.multiprocessing._bells import Bells
    from atomos.multiprocessing._cells import Shared
    from atomos.multiprocessing._codec import Codec
    from atomos.multiprocessing._engine import Engine
    from atomos.multiprocessing._listener import Records
    from atomos.stm._status import Patience
    from atomos.stm._transaction import Transaction

__all__ = ["SpaceHome"]

T = TypeVar("T")

#: Changes that a function of the user's may lose before it is run with the queue held.
LOSSES = 4


class SpaceHome:
    """The home of the cells of one space, in one process.

    Attributes:
        arrival: Held while a cell is entered in `cells`.
        engine: Keeps the records.
        bells: Ring at each commit, for who waits.
        codec: How values become bytes.
        path: The folder, with no link in it.
        named: Somebody has named the path; else it is an anonymous space.
        cells: key -> the one cell of this process with that key.
        listener: Hears of commits, for who sleeps and for watches.
        closed: Nothing can be read or written any more. Set once.
        era: Another one begins in the child of a fork, and when it is closed; who is
            in the middle of something may not go on then.
    """

    __slots__ = (
        "__weakref__",
        "arrival",
        "bells",
        "cells",
        "closed",
        "codec",
        "engine",
        "era",
        "listener",
        "named",
        "path",
    )

    def __init__(self, engine: Engine, bells: Bells, codec: Codec, path: str) -> None:
        self.engine = engine
        self.bells = bells
        self.codec = codec
        self.path = path
        self.named = False
        self.era = 0
        self.cells: WeakValueDictionary[bytes, Shared[Any]] = WeakValueDictionary()
        self.arrival = RLock()
        self.listener = Listener(self)
        self.closed = False

    def __repr__(self) -> str:
        return f"the space {self.path}" if self.named else "the anonymous space"

    def forget_parent(self) -> None:
        """Begin anew, in the child of a fork; the engine does so by itself."""
        self.era += 1
        self.arrival = RLock()
        self.listener.forget()

    # What the engine of transactions asks

    def newest(self, cell: Shared[Any]) -> Seen[Any]:
        """Return the version of `cell` that was committed last."""
        if self.closed:
            self.refuse_closed(cell._label())
        return self.seen(cell, self.engine.get(cell._key))

    def guest(self, tx: Transaction) -> Visitor:
        """Return the guest for a running attempt."""
        return Visitor(self, tx)

    def change(
        self, cell: Shared[Any], fn: Callable[[Any], Any], quick: bool
    ) -> tuple[Any, Any]:
        """Let the value become ``fn(value)``; see `Home`."""
        if self.closed:
            self.refuse_closed(cell._label())
        if self.engine.queue.held:
            self.refuse_held(cell._label())
        if cell._extras is not None:
            quick = False  # a validator is the user's
        done, losses = None, 0
        try:
            while done is None:
                done = self._try_to_change(cell, fn, quick or losses >= LOSSES)
                losses += 1
        finally:
            if self.engine.queue.held:  # it was cut short while it left
                self.engine.queue.leave()
        if done[1] is not KEEP and cell._extras is not None:
            cell._committed(*done)
        return done

    def _try_to_change(
        self, cell: Shared[Any], fn: Callable[[Any], Any], first: bool
    ) -> tuple[Any, Any] | None:
        """Try once; None if somebody else was faster.

        Args:
            cell: The cell.
            fn: Computes the new value.
            first: Take the queue first, so that nobody can be.
        """
        engine = self.engine
        queue, key = engine.queue, cell._key
        try:
            if first:
                queue.take()
            record = engine.get(key)
            before = self.seen(cell, record).value
            after = fn(before)
            if after is KEEP:
                return before, after
            if cell._extras is not None:
                cell._admit(after)
            try:
                data = self.codec.dumps(after)
            except Exception:
                data = encode(self.codec, after, cell)
            if not first:
                queue.take()
            number = engine.commit(
                {} if first else {key: record}, {key: data}, b"", b"", -1
            )
            if number is None:
                return None
            self.bells.ring()
        finally:
            if queue.held:
                queue.leave()
        return before, after

    def sleep(self, run: Patience, awaited: Records) -> bool:
        """Sleep until one of the cells has another record than was seen."""
        return self.listener.sleep(run.deadline, awaited)

    def put_new(self, writes: dict[bytes, bytes]) -> None:
        """Write values under new keys; those that are there already stay.

        A transaction of this thread that has the queue goes on having it.

        Raises:
            WouldDeadlockError: This thread has the queue, and is not in the body of
                that transaction: a finalizer may come in while it commits.
        """
        engine = self.engine

        def write() -> None:
            engine.commit(dict.fromkeys(writes), writes, b"", b"", -1)

        if not engine.queue.held:
            self.in_turn(write)
            return
        tx = inside()
        if tx is None or tx.home is not self:
            self.refuse_held("What has a new name in a space")
        write()

    def was_committed(self, mark: bytes) -> bool:
        """Whether the commit with this mark has happened; it will not any more."""
        engine = self.engine
        if engine.queue.held:
            self.refuse_held("Space.committed()")

        def look() -> bool:
            engine.settle()
            return engine.mark(mark) is not None

        return self.in_turn(look)

    # For the modules of this package

    def in_turn(self, do: Callable[[], T]) -> T:
        """Call `do` with the queue held, which this thread does not hold yet.

        It is let go of in two steps: an exception from outside may cut one short.
        """
        queue = self.engine.queue
        try:
            try:
                queue.take()
                return do()
            finally:
                if queue.held:
                    queue.leave()
        finally:
            if queue.held:
                queue.leave()

    def seen(self, cell: Shared[Any], record: bytes | None) -> Seen[Any]:
        """Return what a record of `cell` stands for.

        Raises:
            DecodingError: It cannot be decoded.
        """
        version: Seen[Any] = Seen()
        version.number = 1
        version.older = None
        version.record = record
        data = cell._initial if record is None else record[8:]
        try:
            version.value = self.codec.loads(data)
        except Exception:
            version.value = decode(self.codec, data, cell)
        return version

    def changed(self, awaited: Records) -> bool:
        """Whether one of the cells has another record than was seen."""
        get = self.engine.get
        return any(get(cell._key) != version.record for cell, version in awaited)

    def refuse_held(self, label: str) -> NoReturn:
        """Raise what tells that the calling thread would wait for itself."""
        msg = (
            f"{label} would wait for this thread itself, which has the queue of those "
            f"who write to {self!r}: it is in a plain block, or in a function or "
            "validator that the space has called to write. Do it before or after that"
        )
        raise WouldDeadlockError(msg)

    def refuse_closed(self, label: str) -> NoReturn:
        """Raise what tells that the space is closed."""
        msg = (
            f"{label} cannot go on: {self!r} was closed; open it again, and get "
            "the refs from there"
        )
        raise SpaceClosedError(msg)
