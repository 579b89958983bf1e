"""One baton: of the threads of a run exactly one goes on at a time.

It is handed on by a lock of each thread, at steps only. A step is announced before
it happens, by the thread that is about to do it; then the schedule decides who goes
on, and when the thread has the baton again the step happens. What a step of the
engine does in the turn at its clock has no steps in it, so nobody is kept from a turn.

All state is written by who has the baton. `over` may be set by the thread that has
started the run, too: then each thread in turn is told to end by `Stop`.

Time
----
Virtual time stands still while anybody can go on. When nobody can, it jumps to the
earliest deadline; when there is none, that is a deadlock. Who waits for a status of
the engine looks again every `RECHECK` seconds by itself; that counts for a deadline
only if there was a step since it last did so.

Threads that only wait for others
---------------------------------
One that has repeated a step `TIRED` times, while nobody has changed anything, lets
others go on even if the schedule does not say so. If all of them are tired, time goes
on, as if they slept.
"""

from __future__ import annotations

import time
from _thread import allocate_lock, get_ident
from math import inf
from typing import TYPE_CHECKING, Any

from atomos.testing._ending import deadlock, no_progress
from atomos.testing._table import Names
from atomos.testing._task import Entry, Stop, Task, controlled

if TYPE_CHECKING:
    from collections.abc import Callable

    from atomos.stm._cell import Cell
    from atomos.testing._schedule import Chooser
    from atomos.testing._task import Held

__all__ = ["Point", "Scheduler"]

#: A choice: how many others could go on, whether the thread before it could, and
#: which one of the others was chosen; -1 for none.
Point = tuple[int, bool, int]

#: Seconds after which the engine looks again by itself.
RECHECK = 0.2
#: How often a thread repeats a step that changes nothing, until others go on.
TIRED = 20
#: Steps that a thread may make to clean up, until it is told again to end.
UNWINDING = 1000
#: How often it is told.
STUBBORN = 5
#: Real seconds between looks whether a thread that is not of the run lets one go on.
PAUSE = 0.0005


class Scheduler:
    """The baton of one run.

    Attributes:
        tasks: Its threads, by number. Only added to.
        entries: What happened, in order. Only added to.
        points: The choices made. Only added to.
        now: Virtual seconds. Never decreases.
        changes: How often somebody took a turn at the clock. Never decreases.
        over: Why the run ends early; None while it does not. Never reset.
        current: Who has the baton; None at the begin and at the end.
        finished: Locked until nobody has anything left to do.
        _switched: The next step comes after one of a thread that could have gone on.
        names: Of the cells.
    """

    def __init__(self, chooser: Chooser, max_steps: int) -> None:
        self._chooser = chooser
        self._max_steps = max_steps
        self.tasks: list[Task] = []
        self.entries: list[Entry] = []
        self.points: list[Point] = []
        self.now = 0.0
        self.changes = 0
        self.over: BaseException | None = None
        self.current: Task | None = None
        self.finished = allocate_lock()
        self.finished.acquire()
        self.names = Names()
        self._switched = False
        #: Has the baton for a thread; set by `_run`.
        self.give: Callable[[Task], None]

    def add(
        self,
        name: str,
        body: Callable[[], object],
        refuse: Callable[[], object] = lambda: None,
    ) -> Task:
        """Add a thread, which can go on from now on."""
        task = Task(self, len(self.tasks), name, body, refuse)
        self.tasks.append(task)
        return task

    # What the threads call

    def step(
        self,
        task: Task,
        operation: str,
        cell: Cell[Any] | None = None,
        *,
        can_stop: bool = True,
    ) -> Entry | None:
        """Announce a step of `task`, which has the baton; return when it happens.

        Args:
            task: The caller.
            operation: What it is about to do.
            cell: To what.
            can_stop: The run may end here; False where the caller cleans up.

        Raises:
            Stop: The run is over.
        """
        if task.quiet:
            return None
        if self.over is None:
            chosen, forced = task, False
            if len(self.tasks) > 1:
                forced = self._is_tired(task, operation, cell)
                chosen = self._choose(task, forced)
            switched = chosen is not task and not forced
            if chosen is not task:
                self._hand_over(task, chosen, switched)
            if self.over is None:
                if cell is not None:
                    self.names[cell]
                entry = Entry(task, operation, cell, self._switched)
                self._switched = False
                self.entries.append(entry)
                if len(self.entries) <= self._max_steps:
                    return entry
                self.over = no_progress(self.tasks, self._max_steps, self.changes)
        self._stop(task, can_stop)
        return None

    def turn(self, task: Task) -> None:
        """Announce that `task` takes a turn at the clock."""
        label = task.label
        if label is None:
            operation, cell = "publish", None
            if task.open and task.open[-1] is not None:
                cell = task.open[-1].cell
        else:
            operation, cell = label
        self.step(task, operation, cell)
        self.changes += 1

    def wait(self, task: Task, gate: Held, seconds: float) -> bool:
        """Let others go on until `gate` is open, and take it.

        Returns:
            False if `seconds` of virtual time have passed first.

        Raises:
            Stop: The run is over.
        """
        task.deadline = self.now + seconds
        if task.patience is not None:
            if task.rechecked == len(self.entries):
                task.deadline = task.patience
            task.rechecked = len(self.entries)
        task.gate = gate
        try:
            while gate.held:
                if self.over is not None:
                    self._stop(task, True, again=True)
                if task.deadline <= self.now:
                    return False
                chosen = self._next()
                if chosen is not task:
                    self._hand_over(task, chosen, False)
            gate.held = True
            return True
        finally:
            task.gate = None

    def end(self, task: Task) -> None:
        """Hand the baton on for good: `task` has nothing left to do."""
        task.done = True
        task.body = None
        if any(not one.done for one in self.tasks):
            self.current = chosen = self._next()
            self.give(chosen)
        else:
            self.current = None
            self.finished.release()

    def start(self) -> None:
        """Let the first thread go on; called by who starts the run."""
        self.current = chosen = self._next()
        self.give(chosen)

    # Who goes on

    def _hand_over(self, task: Task, chosen: Task, switched: bool) -> None:
        """Let `chosen` go on, and wait until `task` may."""
        self.current = chosen
        self._switched = switched
        assert task.worker is not None
        self.give(chosen)
        task.worker.gate.acquire()

    def _stop(self, task: Task, can_stop: bool, *, again: bool = False) -> None:
        """Raise `Stop`, unless `task` is cleaning up already."""
        if task.stopped > STUBBORN * UNWINDING:
            self._park(task)
        if can_stop and (again or task.stopped % UNWINDING == 0):
            task.stopped += 1
            raise Stop
        if task.stopped:
            task.stopped += 1

    def _park(self, task: Task) -> None:
        """Leave a thread that catches everything where it is, for good."""
        del controlled[get_ident()]
        self.end(task)
        forever = allocate_lock()
        forever.acquire()
        forever.acquire()

    def _can_go_on(self, task: Task) -> bool:
        return not task.done and (
            task.gate is None or not task.gate.held or task.deadline <= self.now
        )

    def _choose(self, task: Task, tired: bool) -> Task:
        """Return who goes on at a step of `task`."""
        others = [o for o in self.tasks if o is not task and self._can_go_on(o)]
        if not tired:
            return self._ask(task, others, True) if others else task
        task.tired = self.changes
        if all(one.tired == self.changes for one in others) and self._pass_time():
            others = [o for o in self.tasks if o is not task and self._can_go_on(o)]
        if not others:
            return task
        default = next((o for o in others if o.number > task.number), others[0])
        others.remove(default)
        return self._ask(default, others, True, task.number) if others else default

    def _next(self) -> Task:
        """Return who goes on where the one that had the baton cannot."""
        if self.over is None:
            able = [one for one in self.tasks if self._can_go_on(one)]
            if not able and (self._pass_time() or self._let_in()):
                able = [one for one in self.tasks if self._can_go_on(one)]
            if able:
                return self._ask(able[0], able[1:], False) if able[1:] else able[0]
            if self.over is None:
                self.over = deadlock(self.tasks, self.names)
        return next(one for one in self.tasks if not one.done)

    def _ask(
        self,
        default: Task,
        others: list[Task],
        preempts: bool,
        tired: int | None = None,
    ) -> Task:
        numbers = [one.number for one in others]
        number = self._chooser.choose(default.number, numbers, tired)
        if number == default.number:
            self.points.append((len(others), preempts, -1))
            return default
        self.points.append((len(others), preempts, numbers.index(number)))
        return self.tasks[number]

    def _is_tired(self, task: Task, operation: str, cell: Cell[Any] | None) -> bool:
        """Whether `task` does nothing but look, again and again."""
        if task.seen != self.changes:
            task.seen = self.changes
            task.looks.clear()
        key = operation, cell
        count = task.looks[key] = task.looks.get(key, 0) + 1
        return count % TIRED == 0

    def _pass_time(self) -> bool:
        """Jump to the earliest deadline, if there is one."""
        end = min(
            (
                one.deadline
                for one in self.tasks
                if one.gate is not None and not self._can_go_on(one)
            ),
            default=inf,
        )
        if end == inf:
            return False
        self.now = max(self.now, end)
        return True

    def _let_in(self) -> bool:
        """Wait in real time, if somebody is waited for who is not of the run."""
        while any(one.outsider and not one.done for one in self.tasks):
            if self.over is not None:
                return False
            time.sleep(PAUSE)
            if any(map(self._can_go_on, self.tasks)):
                return True
        return False
