"""One attempt of a transaction: its snapshot, its read set and write set.

What an attempt sees lies in one dict, its view: cell -> version. That is the
version that it has read, or one of its own, which has the number 0 and the
version read before, if any, as `older`. Commutes are a version with the number
`COMMUTED`, whose value is their list. Cells are told apart by identity: `Cell`
lets no subclass define another equality.

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
from atomos.stm._causes import Cause
from atomos.stm._cell import Cell, Version, latest
from atomos.stm._clock import read_point
from atomos.stm._commute import compute
from atomos.stm._footprint import CAUSES, COMMUTED, CUT_SHORT, Lost, Restart
from atomos.stm._history import read_old
from atomos.stm._hold import hold
from atomos.stm._home import ELSEWHERE, mixed
from atomos.stm._owner import Asyncio, current_task, modules
from atomos.stm._queue import turn
from atomos.stm._run import DEFAULT, Run
from atomos.stm._snapshots import close_snapshot, open_snapshot
from atomos.stm._status import undecided
from atomos.stm._turn import FREE
from atomos.stm._wait import sleep

if TYPE_CHECKING:
    from atomos.stm._commute import Call
    from atomos.stm._home import Guest, Home
    from atomos.stm._journal import Journal
    from atomos.stm._registry import ThreadRecord
    from atomos.stm._run import Options
    from atomos.stm._wait import Awaited

__all__ = ["ESCALATE_AFTER", "Transaction"]

T = TypeVar("T")

#: Attempts that a transaction may lose before it runs as a plain block does.
ESCALATE_AFTER = 8


class Transaction(Run):
    """The attempt under way of one run.

    Attributes:
        point: The read point; never decreases within an attempt, but becomes
            `ELSEWHERE` if that is a guest.
        running: Between begin and end.
        read_only: Writes are refused: True if all of it is read_only, or, while a
            nested call that is runs, what messages call that.
        optimistic: It has not lost so often that it would hold what it touches.
        fresh: In update or holding mode: it keeps no old versions.
        holding: In holding mode.
        awaited: What it has read when it called `retry`; None if it has not.
        conflict: What `lose` was told last, and what messages call the cell; only if
            it was called.
        home: Where its cells live; None for in this process.
        guest: What the attempt is there; None if `home` is.
        stale: The first cell that was read from its history, if any.
        watched: What `_hearing` knows of the attempt; only while somebody listens.
        view: cell -> version that this attempt sees, in order of first touch.
        writes: Cells whose version in `view` is this attempt's own, each once.
        ensured: Cells named by `ensure` under snapshot isolation; None if none.
        journal: What only some attempts have; None until it is needed.
    """

    __slots__ = (
        "awaited",
        "conflict",
        "ensured",
        "fresh",
        "guest",
        "holding",
        "home",
        "journal",
        "optimistic",
        "point",
        "read_only",
        "stale",
        "view",
        "watched",
        "writes",
    )

    point: int
    read_only: bool | str
    optimistic: bool
    fresh: bool
    holding: bool
    awaited: Awaited | None
    conflict: tuple[Cause, str]
    home: Home | None
    guest: Guest | None
    stale: Cell[Any] | None
    watched: Any
    view: dict[Cell[Any], Version[Any]]
    writes: list[Cell[Any]]
    ensured: set[Cell[Any]] | None
    journal: Journal | None

    def start(
        self, options: Options, label: str, thread: ThreadRecord, rerunnable: bool
    ) -> None:
        """Prepare a new transaction; no attempt has been made yet."""
        self.options = options
        self.label = label
        self.thread = thread
        self.ident = thread.ident
        self.rerunnable = self.optimistic = rerunnable
        self.attempts = self.waits = 0
        self.deadline = self.status = self.doomed = self.stale = self.journal = None
        self.account = self.home = self.guest = None
        self.serializable = True
        self.updates = self.read_only = False
        self.awaited = None
        self.view = {}
        self.writes = []
        if options is not DEFAULT:
            self.read_only = options.read_only
            if options.timeout is not None:
                self.began = monotonic()
                self.deadline = self.began + options.timeout
            self.serializable = options.isolation != "snapshot"
            self.ensured = None

    def begin(self) -> None:
        """Begin an attempt.

        Raises:
            TransactionAborted: There may be no more attempts.
            TransactionTimeout: The deadline has passed.
            HistoryLostError: A read_only one cannot win.
            WouldDeadlockError: This thread runs a plain block already.
        """
        if self.attempts:
            self.lost_to = self.doomed
            self._count_loss()
            self.status = self.doomed = self.stale = self.ensured = None
            self.view = {}
            self.writes = []
            self.read_only = self.options.read_only
            if self.awaited is not None:
                awaited, self.awaited = self.awaited, None
                self.waits += 1
                # What was cut short on its way to the next alternative has that to run.
                cut_short = False
                if self.journal is not None:
                    cut_short = self.journal.in_alternative()
                    self.journal.forget()
                if not cut_short:
                    self.starts_waiting()
                    sleep(self, awaited)
                    self.has_waited()
            self.refuse_if_over()
            lost = self.attempts - self.waits
            self.optimistic = self.rerunnable and lost < ESCALATE_AFTER
        self.attempts += 1
        imported = self.thread.modules if FREE else modules
        self.task = (
            current_task()
            if "asyncio.tasks" in imported and Asyncio.running_loop() is not None
            else None
        )
        self.running = True
        if self.optimistic or self.read_only:
            self.holding = False
            if self.updates and self.serializable and not self.read_only:
                self.fresh = True
                self.point = read_point()
            else:
                self.fresh = False
                open_snapshot(self, self.thread)
        else:
            self.fresh = self.holding = True
            self.point = 0
            status = self.status = undecided(self.thread, self.label)
            turn(status, self)
        # Not before: if it cannot begin, the hooks of the last one run.
        if self.journal is not None:
            self.journal = None

    def _count_loss(self) -> None:
        """Enter the attempt that has ended without a commit in the account."""
        if self.awaited is not None:
            self.need_account().lost(Cause.WAITED, None)
        elif self.doomed == CUT_SHORT:
            self.need_account().lost(Cause.CUT_SHORT, None)
        else:
            self.need_account().lost(*self.conflict)

    # Reading

    def read(self, cell: Cell[T]) -> T:
        """Return the value of `cell` as this attempt sees it."""
        version: Version[T] | None = self.view.get(cell)
        if version is None:
            version = cell._newest
            # Settled, and within the snapshot: all there is to do in most cases.
            if not 0 < version.number <= self.point:
                version = self._look(cell)
            self.view[cell] = version
        elif version.number == COMMUTED:
            version = self._compute_now(cell, version)
        return version.value

    def _look(self, cell: Cell[T]) -> Version[T]:
        """Return the version of `cell` that this attempt must see."""
        if cell._home is not self.home:
            self._visit(cell)
        if self.guest is not None:
            found: Version[T] = self.guest.look(cell)
            return found
        if self.holding:
            assert self.status is not None
            return hold(cell, self.status, self)
        while True:
            version = latest(cell)
            if version.number <= self.point:
                return version
            if not self.fresh:
                return self._look_back(cell)
            self._extend()

    def _visit(self, cell: Cell[Any]) -> None:
        """Become a guest where `cell` lives, which is not where the attempt is.

        Raises:
            MixedSpacesError: It has used cells that live elsewhere.
            TransactionTimeout: The deadline passed before its turn came.
        """
        home = cell._home
        if home is None or self.home is not None or self.view:
            raise mixed(self.label, cell, self.home)
        if not self.fresh:
            close_snapshot(self, self.thread)
        self.fresh = self.updates = True
        self.point = ELSEWHERE
        self.home = home
        self.guest = home.guest(self)
        self.guest.arrive()

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
        return found

    def _extend(self) -> None:
        """Move the read point forward; all that was read must be newest."""
        point = read_point()
        # A copy: a finalizer may read another cell meanwhile.
        for cell, version in list(self.view.items()):
            seen = version if version.number > 0 else version.older
            if seen is not None and latest(cell) is not seen:
                raise self.lose(Lost.STALE, cell)
        self.point = point

    def reads(self) -> Awaited:
        """Return the cells that were read, each with the version seen."""
        found: Awaited = []
        for cell, version in list(self.view.items()):
            seen = version if version.number > 0 else version.older
            if seen is not None:
                found.append((cell, seen))
        return found

    def lose(self, cause: str, cell: Cell[Any]) -> Restart:
        """Doom this attempt and return the signal to raise."""
        label = cell._label()
        # First: an exception from outside may come in after the call.
        self.conflict = CAUSES[cause], label
        self.doomed = cause.format(label)
        return Restart(self.doomed)

    # Writing

    def write(self, cell: Cell[T], value: T) -> None:
        """Let `cell` have `value` when this attempt commits."""
        if self.read_only:
            self.refuse_if_read_only(cell)
        seen: Version[T] | None = self.view.get(cell)
        if seen is not None:
            if seen.number <= 0:
                if seen.number == COMMUTED:
                    seen = self._compute_now(cell, seen)
                if self.journal is not None:
                    self.journal.keep(cell, seen)
                seen.value = value
                return
        elif self.holding:
            seen = self.view[cell] = self._look(cell)
        if seen is None and cell._home is not self.home:
            self._visit(cell)
        if not self.fresh:
            self._start_writing(cell, False)
        new: Version[T] = Version()
        new.value = value
        new.number = 0
        new.older = seen
        # In this order: an exception from outside may come in after the call.
        self.view[cell] = new
        self.writes.append(cell)

    def refuse_if_read_only(self, cell: Cell[Any]) -> None:
        """Raise `ReadOnlyError` if this transaction may not write."""
        if self.read_only:
            who = self.label if self.read_only is True else self.read_only
            msg = (
                f"{cell._label()} cannot be written: {who} is read_only; "
                "leave read_only out to write"
            )
            raise ReadOnlyError(msg)

    def _start_writing(self, cell: Cell[Any], commuting: bool) -> None:
        """Prepare for a first write or commute, of `cell`, in snapshot mode."""
        if self.serializable:
            if self.stale is not None:
                raise self.lose(Lost.STALE, self.stale)
            self.fresh = self.updates = True
            thread = self.thread
            snapshots = thread.snapshots
            # As `close_snapshot`, in the thread that has opened it.
            try:
                if snapshots[0] is snapshots[-1] is self:
                    thread.mine[0] = 0
                snapshots.remove(self)
            except (IndexError, ValueError):
                pass  # a signal handler has written here in between
        elif not commuting and latest(cell).number > self.point:
            raise self.lose(Lost.OVERTAKEN, cell)

    def ensure(self, cell: Cell[T]) -> T:
        """Read `cell`, and have it validated at every isolation."""
        value = self.read(cell)
        if not self.serializable:
            if self.ensured is None:
                self.ensured = set()
            self.ensured.add(cell)
        return value

    # Commuting

    def commute(self, cell: Cell[Any], call: Call) -> None:
        """Compute `call` on `cell` at the commit, on its newest value.

        Where the value is known to be the newest at the commit (it was written
        or is held or validated), it is computed now.
        """
        self.refuse_if_read_only(cell)
        seen = self.view.get(cell)
        if seen is not None and seen.number == COMMUTED:
            if self.journal is not None:
                self.journal.keep(cell, seen)
            seen.value.append(call)
        elif self.holding or (
            seen is not None
            and (
                self.serializable
                or seen.number == 0
                or (self.ensured is not None and cell in self.ensured)
            )
        ):
            self.write(cell, compute(self.read(cell), (call,)))
        else:
            if cell._home is not self.home:
                self._visit(cell)
            if not self.fresh:
                self._start_writing(cell, True)
            commutes: Version[Any] = Version()
            commutes.value = [call]
            commutes.number = COMMUTED
            commutes.older = seen
            self.view[cell] = commutes
            self.writes.append(cell)

    def _compute_now(self, cell: Cell[T], commutes: Version[Any]) -> Version[T]:
        """Make a commuted ref an ordinary read and write."""
        seen: Version[T] = commutes.older or self._look(cell)
        new: Version[T] = Version()
        new.number = 0
        new.older = seen
        if self.journal is None:
            new.value = compute(seen.value, commutes.value)
            self.view[cell] = new
            return new
        new.value, kept = self.journal.compute(cell, seen.value, commutes.value)
        doomed, self.doomed = self.doomed, CUT_SHORT  # until all of it is stored
        for part, before in kept:
            part.kept[cell] = new, before, -1
        self.view[cell] = new
        self.doomed = doomed
        return new
