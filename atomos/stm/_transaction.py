"""One attempt of a transaction: its snapshot, its read set and write set.

What an attempt has touched lies in one dict, identity of the cell -> `Entry`.
How a cell is first touched depends on the mode of the attempt:

snapshot
    It reads at its read point, old versions if need be, and keeps them from
    being trimmed. Every attempt starts so; `read_only` and
    ``isolation="snapshot"`` stay so.
update
    A serializable attempt that writes must at its commit find all it has read
    still newest, so old versions are of no use to it. From its first write on
    it keeps none. When it meets a version above its read point it moves the
    read point forward, if all it has read is still newest, and gives up if
    not. An attempt of a run whose former attempt wrote starts so.
holding
    A plain block, or one that has lost often: it holds each cell as it first
    touches it, and reads the newest version. What is held cannot change, so
    all it has read is consistent without a read point.

In each mode all that a body has seen was newest at one read point: an attempt
that cannot commit any more never shows an impossible state (opacity).
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from atomos.errors import HistoryLostError, ReadOnlyError
from atomos.stm._cell import Cell, Version, latest, pending
from atomos.stm._clock import read_point
from atomos.stm._commute import compute
from atomos.stm._footprint import Entry, Lost, Restart
from atomos.stm._history import read_old
from atomos.stm._hold import hold
from atomos.stm._owner import current_task
from atomos.stm._queue import turn
from atomos.stm._registry import open_snapshot
from atomos.stm._run import Run
from atomos.stm._status import undecided

if TYPE_CHECKING:
    from atomos.stm._commute import Call
    from atomos.stm._registry import ThreadRecord
    from atomos.stm._run import Options

__all__ = ["ESCALATE_AFTER", "Transaction"]

T = TypeVar("T")

#: Attempts that a transaction may lose before it runs as a plain block does.
ESCALATE_AFTER = 8


class Transaction(Run):
    """The attempt under way of one run.

    Attributes:
        point: The read point; never decreases within an attempt.
        running: Between begin and end.
        read_only: Writes are refused; set while a read_only nested call runs.
        fresh: In update or holding mode: it keeps no old versions.
        holding: In holding mode.
        stale: The first cell that was read from its history, if any.
        touched: id(cell) -> entry, in order of first touch.
        writes: Entries that have a new version or commutes.
        commutes: Some of `writes` have commutes.
    """

    __slots__ = (
        "commutes",
        "fresh",
        "holding",
        "point",
        "read_only",
        "stale",
        "touched",
        "writes",
    )

    point: int
    read_only: bool
    fresh: bool
    holding: bool
    stale: Cell[Any] | None
    touched: dict[int, Entry]
    writes: list[Entry]
    commutes: bool

    def start(
        self, options: Options, label: str, thread: ThreadRecord, rerunnable: bool
    ) -> None:
        """Prepare a new transaction; no attempt has been made yet."""
        self.rerunnable = rerunnable
        self.thread = thread
        self.lost_to = self.status = self.stale = self.doomed = None
        self.running = self.updates = self.holding = self.commutes = False
        self.touched = {}
        self.writes = []
        self.options = options
        self.label = label
        timeout = options.timeout
        self.deadline = None if timeout is None else monotonic() + timeout
        self.serializable = options.isolation != "snapshot"
        self.attempts = 0

    def _clear(self) -> None:
        """Forget what the last attempt has touched, but not what it lost to."""
        self.lost_to = self.doomed
        self.status = self.stale = self.doomed = None
        self.holding = self.commutes = False
        self.touched = {}
        self.writes = []

    def begin(self) -> None:
        """Begin an attempt.

        Raises:
            TransactionAborted: There may be no more attempts.
            TransactionTimeout: The deadline has passed.
            HistoryLostError: A read_only one cannot win.
            WouldDeadlockError: This thread runs a plain block already.
        """
        if self.attempts:
            self._clear()
            self.refuse_if_over()
        self.attempts += 1
        thread = self.thread
        self.ident = thread.ident
        self.task = current_task()
        read_only = self.read_only = self.options.read_only
        self.running = True
        if read_only or (self.rerunnable and self.attempts <= ESCALATE_AFTER):
            if self.updates and self.serializable and not read_only:
                self.fresh = True
                self.point = read_point()
            else:
                self.fresh = False
                open_snapshot(self, thread)
        else:
            self.fresh = self.holding = True
            self.point = 0
            status = self.status = undecided(thread, self.label)
            turn(status, self)

    # Reading

    def read(self, cell: Cell[T]) -> T:
        """Return the value of `cell` as this attempt sees it."""
        touched = self.touched
        entry = touched.get(id(cell))
        if entry is None:
            version = cell._newest
            # Settled, and within the snapshot: all there is to do in most cases.
            if not 0 < version.number <= self.point:
                version = self._look(cell)
            entry = Entry()
            entry.cell = cell
            entry.seen = version
            entry.new = entry.calls = None
            entry.ensured = False
            touched[id(cell)] = entry
            return version.value
        if entry.calls is not None:
            self._compute_now(entry)
        found = entry.new
        if found is None:
            found = entry.seen
            if found is None:
                found = entry.seen = self._look(cell)
        value: T = found.value
        return value

    def _enter(self, cell: Cell[Any]) -> Entry:
        """Return a new entry for `cell`: unread, unless this attempt holds."""
        if self.holding:
            self.read(cell)
            return self.touched[id(cell)]
        entry = Entry()
        entry.cell = cell
        entry.seen = entry.new = entry.calls = None
        entry.ensured = False
        self.touched[id(cell)] = entry
        return entry

    def _look(self, cell: Cell[T]) -> Version[T]:
        """Return the version of `cell` that this attempt must see."""
        if self.holding:
            assert self.status is not None
            return hold(cell, self.status, self)
        while True:
            version = latest(cell)
            if version.number <= self.point:
                return version
            if not self.fresh:
                return self._look_back(cell)
            self._extend(cell)

    def _look_back(self, cell: Cell[T]) -> Version[T]:
        """Return the version at the read point, from the history."""
        found = read_old(cell, self.point)
        if found is None:
            if not self.rerunnable:
                msg = (
                    f"{Lost.HISTORY.format(cell._label())}, and a plain block cannot "
                    "run again: raise max_history, or use @dosync"
                )
                raise HistoryLostError(msg)
            raise self.lose(Lost.HISTORY, cell)
        self.stale = self.stale or cell
        version: Version[T] = Version()
        version.number, version.value = found
        version.older = version.owner = None
        return version

    def _extend(self, cell: Cell[Any]) -> None:
        """Move the read point forward; all that was read must be newest."""
        point = read_point()
        for entry in self.touched.values():
            if entry.seen is not None and latest(entry.cell) is not entry.seen:
                raise self.lose(Lost.STALE, entry.cell)
        self.point = point

    def lose(self, cause: str, cell: Cell[Any]) -> Restart:
        """Doom this attempt and return the signal to raise."""
        self.doomed = cause.format(cell._label())
        return Restart(self.doomed)

    # Writing

    def write(self, cell: Cell[T], value: T) -> None:
        """Let `cell` have `value` when this attempt commits."""
        if self.read_only:
            self.refuse_if_read_only(cell)
        entry = self.touched.get(id(cell))
        if entry is None:
            entry = self._enter(cell)
        elif entry.calls is not None:
            self._compute_now(entry)
        new = entry.new
        if new is None:
            if not self.fresh:
                self._start_writing(entry)
            self.writes.append(entry)
            new = entry.new = Version()
            new.number = 0
        new.value = value

    def refuse_if_read_only(self, cell: Cell[Any]) -> None:
        """Raise `ReadOnlyError` if this transaction may not write."""
        if self.read_only:
            msg = (
                f"{cell._label()} cannot be written: {self.label} is read_only; "
                "leave read_only out to write"
            )
            raise ReadOnlyError(msg)

    def _start_writing(self, entry: Entry) -> None:
        """Prepare for a first write or commute, of `entry`, in snapshot mode."""
        if self.serializable:
            if self.stale is not None:
                raise self.lose(Lost.STALE, self.stale)
            self.fresh = self.updates = True
            self.thread.snapshots.remove(self)
        elif entry.calls is None and latest(entry.cell).number > self.point:
            raise self.lose(Lost.OVERTAKEN, entry.cell)

    def ensure(self, cell: Cell[T]) -> T:
        """Read `cell`, and have it validated at every isolation."""
        value = self.read(cell)
        self.touched[id(cell)].ensured = True
        return value

    # Commuting

    def commute(self, cell: Cell[Any], call: Call) -> None:
        """Compute `call` on `cell` at the commit, on its newest value.

        Where the value is known to be the newest at the commit (it was written
        or is held or validated), it is computed now.
        """
        self.refuse_if_read_only(cell)
        entry = self.touched.get(id(cell))
        if entry is None:
            entry = self._enter(cell)
        if entry.calls is not None:
            entry.calls.append(call)
        elif entry.new is not None or (
            entry.seen is not None and (self.serializable or self.holding)
        ):
            self.write(cell, compute(self.read(cell), (call,)))
        else:
            entry.calls = [call]
            if not self.fresh:
                self._start_writing(entry)
            self.writes.append(entry)
            self.commutes = True

    def _compute_now(self, entry: Entry) -> None:
        """Make a commuted ref an ordinary read and write."""
        seen = entry.seen or self._look(entry.cell)
        new = pending(compute(seen.value, entry.calls or ()))
        entry.seen, entry.new, entry.calls = seen, new, None
