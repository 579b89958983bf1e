"""An attempt of a transaction in a space; the protocol is in `_home`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from atomos.errors import (
    HistoryLostError,
    SpaceBusyError,
    TransactionStateError,
    WouldDeadlockError,
)
from atomos.multiprocessing._codec import encode
from atomos.stm._clock import commit_point
from atomos.stm._commute import compute
from atomos.stm._footprint import COMMUTED, Lost
from atomos.stm._status import abort

if TYPE_CHECKING:
    from atomos.multiprocessing._cells import Shared
    from atomos.multiprocessing._engine import Snapshot
    from atomos.multiprocessing._home import SpaceHome
    from atomos.stm._cell import Version
    from atomos.stm._commit import Change
    from atomos.stm._commute import Call
    from atomos.stm._transaction import Transaction

    #: Key -> the record that was seen, None for none.
    Records = dict[bytes, bytes | None]
    Commuted = list[tuple["Shared[Any]", list[Call]]]

__all__ = ["Visitor"]


class Visitor:
    """The guest of one attempt.

    Attributes:
        home: Where it is.
        tx: The attempt.
        snapshot: Where it reads; None if it holds the queue, or has left.
        holds: It has taken the queue, or is about to.
        mark: The id of the commit, if somebody has asked for it; else empty.
        era: That of its home when it came.
    """

    __slots__ = ("era", "holds", "home", "mark", "snapshot", "tx")

    def __init__(self, home: SpaceHome, tx: Transaction) -> None:
        self.home = home
        self.tx = tx
        self.snapshot: Snapshot | None = None
        self.holds = False
        self.mark = b""
        self.era = home.era

    def arrive(self) -> None:
        """Take a snapshot, or the queue if the attempt holds.

        Raises:
            TransactionTimeout: The deadline passed before its turn came.
            SpaceBusyError: Whoever has the queue was stopped.
        """
        home = self.home
        if home.closed:
            home.refuse_closed(self.tx.label)
        try:
            if self.tx.holding:
                self._take()
                home.engine.settle()
            else:
                self.snapshot = home.engine.snapshot()
        except BaseException:
            self._let_go()  # a body that swallows it may not go on with neither
            self.tx.home = self.tx.guest = None
            raise

    def _take(self) -> None:
        """Take the queue, within the deadline of the transaction."""
        tx = self.tx
        self.holds = True
        try:
            self.home.engine.queue.take(tx.deadline)
        except WouldDeadlockError:
            self.holds = False  # that is another one, around this one
            self.home.refuse_held(tx.label)
        except SpaceBusyError as error:
            if tx.deadline is None:
                raise
            raise tx.timed_out(str(error)) from error

    def look(self, cell: Shared[Any]) -> Version[Any]:
        """Return what the attempt sees of `cell`."""
        home, snapshot = self.home, self.snapshot
        if self.era != home.era:
            self._refuse_to_go_on()
        get = home.engine.get if snapshot is None else snapshot.get
        record = get(cell._key)
        if record is None and not cell._initial:
            self._refuse_newer(cell)
        return home.seen(cell, record)

    def _refuse_newer(self, cell: Shared[Any]) -> NoReturn:
        """Give up the attempt: its snapshot is older than the first value of `cell`."""
        tx = self.tx
        if tx.rerunnable:
            raise tx.lose(Lost.OVERTAKEN, cell)
        msg = (
            f"{cell._label()} was made and changed after {tx.label} has taken its "
            "snapshot, and a plain block cannot run again: get it before, or use "
            "@dosync"
        )
        raise HistoryLostError(msg)

    def _refuse_to_go_on(self) -> NoReturn:
        """Raise what tells why the attempt can neither read nor commit."""
        label, home = self.tx.label, self.home
        if home.closed:
            home.refuse_closed(label)
        msg = (
            f"{label} was begun before a fork, and belongs to the parent: begin "
            "another transaction in the child"
        )
        raise TransactionStateError(msg)

    def commit(self) -> list[Change]:
        """Commit what the attempt has written, and leave; see `_home`."""
        tx, home = self.tx, self.home
        if not (tx.writes or self.mark):
            self.leave()
            return []
        if self.era != home.era:
            self._refuse_to_go_on()
        engine = home.engine
        begun = False
        try:
            read, writes, commuted = self._collect()
            if not self.holds:
                self._take()
            if commuted is not None:
                self._compute(commuted, writes)
            if tx.holding:
                read = {}
            since = -1 if self.snapshot is None else self.snapshot.number
            engine.tried, begun = 0, True
            number = engine.commit(read, writes, self.mark, self.mark, since)
            if number is not None:
                return self._committed(number)
        except BaseException:
            # Nobody else has tried since then: this attempt has the queue.
            if begun and 0 < engine.tried <= engine.number():
                self._committed(engine.tried)
            raise
        finally:
            self.leave()
        self._lost(read)

    def _collect(self) -> tuple[Records, dict[bytes, bytes], Commuted | None]:
        """Return what must still be as it was seen, what to write, and the commutes.

        Raises:
            EncodingError: A value cannot be encoded.
            ValidationError: A validator refuses one.
        """
        tx, codec = self.tx, self.home.codec
        dumps = codec.dumps
        serializable = tx.serializable
        ensured = () if serializable else tx.ensured or ()
        read: Records = {}
        writes: dict[bytes, bytes] = {}
        commuted: Commuted | None = None
        view: dict[Any, Any] = tx.view  # cells of this home only, and what was seen
        for cell, version in view.items():
            if version.number > 0:
                if serializable or cell in ensured:
                    read[cell._key] = version.record
                continue
            if version.number == COMMUTED:
                commuted = commuted or []
                commuted.append((cell, version.value))
                continue
            value, seen = version.value, version.older
            if cell._extras is not None:
                cell._admit(value)
            try:
                writes[cell._key] = dumps(value)
            except Exception:
                encode(codec, value, cell)
            if seen is not None:
                read[cell._key] = seen.record
            elif not serializable and self.snapshot is not None:
                read[cell._key] = self.snapshot.get(cell._key)
        return read, writes, commuted

    def _compute(self, commuted: Commuted, writes: dict[bytes, bytes]) -> None:
        """Compute the commutes on the newest records; the queue is held."""
        home = self.home
        home.engine.settle()
        for cell, calls in commuted:
            value = compute(home.newest(cell).value, calls)
            if cell._extras is not None:
                cell._admit(value)
            writes[cell._key] = encode(home.codec, value, cell)

    def _committed(self, number: int) -> list[Change]:
        """Note that it has committed, and tell those who wait; the queue is held."""
        tx = self.tx
        changes: list[Change] = []
        for cell in tx.writes:
            tx.view[cell].number = number
            if cell._extras is not None:
                changes.append((cell, None, None))
        self.home.bells.ring()
        if tx.status is not None:
            commit_point(tx.thread, tx.status)
        return changes

    def _lost(self, read: Records) -> NoReturn:
        """Raise the signal that the attempt is lost, with what it was lost to."""
        tx, get = self.tx, self.home.engine.get
        cause = Lost.STALE if tx.serializable else Lost.OVERTAKEN
        view: dict[Any, Any] = tx.view
        cells = [cell for cell in view if cell._key in read]
        for cell in cells:
            if get(cell._key) != read[cell._key]:
                raise tx.lose(cause, cell)
        raise tx.lose(cause, cells[0])  # it was changed, and changed back

    def leave(self) -> None:
        """Let go of the snapshot, the queue, and the turn among the plain blocks."""
        self._let_go()
        tx = self.tx
        if tx.status is not None:
            abort(tx.status)
        tx.home = tx.guest = None

    def _let_go(self) -> None:
        """Let go of the snapshot and the queue."""
        if self.snapshot is not None:
            self.snapshot.end()
            self.snapshot = None
        if self.holds:
            if self.home.engine.queue.held:
                self.home.engine.queue.leave()
            self.holds = False
