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

from typing import TYPE_CHECKING, Any, TypeVar, cast

from atomos.errors import CommuteError, HistoryLostError, ReadOnlyError
from atomos.stm._cell import Cell, Version, latest, pending
from atomos.stm._clock import read_point
from atomos.stm._commute import TOUCHED, compute
from atomos.stm._history import read_old
from atomos.stm._hold import hold
from atomos.stm._owner import Owner, current
from atomos.stm._registry import close_snapshot, my_record, open_snapshot

if TYPE_CHECKING:
    from atomos.stm._commute import Call
    from atomos.stm._registry import ThreadRecord
    from atomos.stm._status import Patience, Status

__all__ = ["Entry", "Lost", "Restart", "Transaction", "inside"]

T = TypeVar("T")


class Restart(BaseException):  # noqa: N818 - a control signal, not an error
    """This attempt is doomed; the runner makes another one.

    Derived from `BaseException` so that ``except Exception`` in a body does
    not keep it; if a body swallows it all the same, the attempt stays doomed.
    """


class Lost:
    """Why an attempt was lost; the causes of conflict, in words."""

    STALE = "{} was changed by another transaction after it was read here"
    OVERTAKEN = "{} was written by another transaction after this snapshot was taken"
    HISTORY = "the version of {} that this snapshot needs was dropped by max_history"


class Entry:
    """What an attempt knows of one cell.

    Attributes:
        cell: The cell.
        seen: The version read first; None if never read.
        new: The version to be committed; None if not written.
        base: The version that `new` displaces; set while committing.
        calls: Commutes to compute at the commit, in order; None if none.
        ensured: Named by `ensure`, so validated at every isolation.
    """

    __slots__ = ("base", "calls", "cell", "ensured", "new", "seen")

    cell: Cell[Any]
    seen: Version[Any] | None
    new: Version[Any] | None
    base: Version[Any] | None
    calls: list[Call] | None
    ensured: bool


class Transaction(Owner):
    """One attempt.

    Attributes:
        point: The read point; never decreases. 0 while holding.
        running: Between begin and end.
        thread: Record of the thread that runs it.
        serializable: The isolation; False means snapshot.
        read_only: Writes are refused.
        updates: In update mode. Never reset.
        holding: In holding mode. Never changes.
        rerunnable: It may be run again; False for a plain block.
        stale: The first cell that was read from its history, if any.
        doomed: Why it cannot commit any more; None while it can.
        status: Its fate, from when it first holds something.
        patience: What bounds its waits; shared by the attempts of one run.
        touched: id(cell) -> entry, in order of first touch.
        writes: Entries that have a new version or commutes.
    """

    __slots__ = (
        "doomed",
        "holding",
        "patience",
        "point",
        "read_only",
        "rerunnable",
        "running",
        "serializable",
        "stale",
        "status",
        "thread",
        "touched",
        "updates",
        "writes",
    )

    def __init__(
        self, patience: Patience, serializable: bool, read_only: bool, rerunnable: bool
    ) -> None:
        self.running = False
        self.point = 0
        self.thread: ThreadRecord = my_record()
        self.serializable = serializable
        self.read_only = read_only
        self.rerunnable = rerunnable
        self.patience = patience
        self.updates = False
        self.holding = False
        self.stale: Cell[Any] | None = None
        self.doomed: str | None = None
        self.status: Status | None = None
        self.touched: dict[int, Entry] = {}
        self.writes: list[Entry] = []

    def begin(self, updates: bool, status: Status | None) -> None:
        """Start: holding if there is a status, else at the current read point."""
        self.own()
        self.running = True
        if status is not None:
            self.status = status
            self.holding = True
        elif updates and self.serializable and not self.read_only:
            self.updates = True
            self.point = read_point()
        else:
            open_snapshot(self, self.thread)

    # Reading

    def read(self, cell: Cell[T]) -> T:
        """Return the value of `cell` as this attempt sees it."""
        entry = self.touched.get(id(cell))
        if entry is None:
            entry = self.touch(cell)
        elif entry.calls is not None:
            self._compute_now(entry)
        version = entry.new
        if version is None:
            version = entry.seen
            if version is None:
                version = entry.seen = self._look(cell)
        return cast("T", version.value)

    def touch(self, cell: Cell[Any]) -> Entry:
        """Return a new entry for `cell`, read in the mode of this attempt."""
        seen = self._look(cell)
        return self._enter(cell, seen)

    def _enter(self, cell: Cell[Any], seen: Version[Any] | None) -> Entry:
        entry = Entry()
        entry.cell = cell
        entry.seen = seen
        entry.new = None
        entry.base = None
        entry.calls = None
        entry.ensured = False
        self.touched[id(cell)] = entry
        return entry

    def _look(self, cell: Cell[T]) -> Version[T]:
        """Return the version of `cell` that this attempt must see."""
        if self.holding:
            assert self.status is not None
            return hold(cell, self.status, self.patience)
        while True:
            version = latest(cell)
            if version.number <= self.point:
                return version
            if not self.updates:
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
        self.refuse_if_read_only(cell)
        entry = self.touched.get(id(cell))
        if entry is None:
            entry = self.touch(cell) if self.holding else self._enter(cell, None)
        elif entry.calls is not None:
            self._compute_now(entry)
        version = entry.new
        if version is None:
            self._start_writing(entry)
            entry.new = pending(value)
        else:
            version.value = value

    def refuse_if_read_only(self, cell: Cell[Any]) -> None:
        """Raise `ReadOnlyError` if this transaction may not write."""
        if self.read_only:
            msg = (
                f"{cell._label()} cannot be written: {self.patience.label} is read_only; "
                "leave read_only out to write"
            )
            raise ReadOnlyError(msg)

    def _start_writing(self, entry: Entry) -> None:
        """Note the first write or commute of `entry`."""
        if self.serializable:
            if not self.updates and not self.holding:
                if self.stale is not None:
                    raise self.lose(Lost.STALE, self.stale)
                self.updates = True
                close_snapshot(self, self.thread)
        elif not self.holding and entry.calls is None:
            if latest(entry.cell).number > self.point:
                raise self.lose(Lost.OVERTAKEN, entry.cell)
        self.writes.append(entry)

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
            entry = self.touch(cell) if self.holding else self._enter(cell, None)
        if entry.calls is not None:
            entry.calls.append(call)
        elif entry.new is not None or (
            entry.seen is not None and (self.serializable or self.holding)
        ):
            self.write(cell, compute(self.read(cell), (call,)))
        else:
            calls = [call]
            entry.calls = calls
            self._start_writing(entry)

    def _compute_now(self, entry: Entry) -> None:
        """Make a commuted ref an ordinary read and write."""
        seen = entry.seen or self._look(entry.cell)
        new = pending(compute(seen.value, entry.calls or ()))
        entry.seen, entry.new, entry.calls = seen, new, None


def inside() -> Transaction | None:
    """Return the transaction that the caller is inside of, if any.

    Raises:
        CommuteError: The caller is a function given to `commute`.

    Cost: 2 C calls and 3 loads inside of one.
    """
    owner = current.get()
    if owner is None or not owner.is_here():
        return None
    if isinstance(owner, Transaction):
        return owner if owner.running else None
    raise CommuteError(TOUCHED)
