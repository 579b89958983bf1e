"""`run_interleaved`: bodies on real threads, one at a time, under a schedule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from atomos.stm._arguments import shown
from atomos.stm._fitness import refuse_uncallable
from atomos.stm._run import is_count, is_seconds
from atomos.testing._execute import Bounds, execute, refuse_inside
from atomos.testing._schedule import Schedule
from atomos.testing._table import Step, shortly, table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from atomos.testing._schedule import Choosing
    from atomos.testing._scheduler import Point, Scheduler

__all__ = [
    "MAX_STEPS",
    "PATIENCE",
    "Interleaving",
    "add_notes",
    "bounds",
    "error_of",
    "interleaving",
    "run_interleaved",
]

#: Steps of a run, and real seconds without a step, until it is given up.
MAX_STEPS = 20_000
PATIENCE = 30.0


@dataclass(frozen=True)
class Interleaving:
    """What happened in a run. `str` of it is the table.

    Attributes:
        results: What each body returned.
        steps: What happened, in order.
        seconds: How much virtual time has passed.
        schedule: One that repeats the run, whatever decided about it.

    Example:
        >>> from atomos import Atom
        >>> from atomos.testing import Schedule, run_interleaved
        >>> tally = Atom(0, name="tally")
        >>> def add():
        ...     return tally.swap(lambda n: n + 1)
        >>> run = run_interleaved(Schedule((0, 0)), add, add)
        >>> run.results, run.seconds, run.schedule
        ((2, 1), 0.0, Schedule((0, 0)))
        >>> print(run)
        step    thread  operation  ref    value
           1    1 add   swap       tally  1
           2    1 add   publish    tally
           3    0 add   swap       tally  2
           4    0 add   publish    tally
    """

    results: tuple[Any, ...]
    steps: tuple[Step, ...]
    seconds: float
    schedule: Schedule

    def __str__(self) -> str:
        """Return the table of the steps."""
        return table(self.steps)


def run_interleaved(
    schedule: Choosing,
    *bodies: Callable[[], object],
    max_steps: int = MAX_STEPS,
    patience: float = PATIENCE,
) -> Interleaving:
    """Run each body on a thread of its own, one at a time, under a schedule.

    Threads are switched only at the engine's own steps: before each operation of a
    ref, atom, atomic or agent, before each attempt, in the middle of a commit, where
    a thread sleeps. It is the engine itself that runs. The same schedule and bodies
    make the same steps. Time is virtual: see `now` and `sleep`.

    What agents of the shared pools are sent is run by threads of the run, and to its
    end; an agent with an executor of its own is not under control. Other threads of
    the process go on as ever. Runs of several threads wait for each other.

    What is not seen: a method that was looked up before, as ``get = cell.get``.

    Args:
        schedule: A `Schedule` or `Priorities`.
        *bodies: Functions without parameters. They may wait for each other by what
            this library offers, `sleep` of this module included, and by looking again
            and again, but not by locks of others, and they draw nothing from
            Hypothesis.
        max_steps: How many steps there may be.
        patience: Real seconds that a thread may take from one step to the next.

    Returns:
        What happened.

    Raises:
        BaseException: What a body raised; of several bodies in a group. Its notes
            have the schedule and the table of steps.
        DeadlockError: All threads wait for each other.
        NoProgressError: There were more steps than `max_steps`.
        StuckError: A thread came to no step within `patience`.
        NestedRunError: Called inside of a run or a transaction.
        TypeError: A body is not callable, or `schedule` is no schedule.
        ValueError: `max_steps` or `patience` is no such number.

    Cost: some µs for each step, and a hand-over between threads for each switch.

    Source: Musuvathi, Qadeer, Ball, Basler, Nainar and Neamtiu, "Finding and
        reproducing Heisenbugs in concurrent programs", OSDI 2008.

    Example:
        >>> from atomos import Ref, dosync
        >>> from atomos.testing import Schedule, run_interleaved
        >>> balance = Ref(100, name="balance")
        >>> @dosync
        ... def withdraw():
        ...     return balance.alter(lambda n: n - 30)
        >>> run = run_interleaved(Schedule((2, 0)), withdraw, withdraw)
        >>> run.results
        (40, 70)
    """
    limits = bounds(schedule, bodies, max_steps, patience)
    refuse_inside()
    scheduler = execute(schedule, bodies, limits)
    error = error_of(scheduler)
    if error is not None:
        try:
            raise error
        finally:
            del error  # its traceback leads back here
    return interleaving(scheduler, len(bodies))


def bounds(
    schedule: Choosing,
    bodies: Sequence[Callable[..., object]],
    max_steps: int,
    patience: float,
) -> Bounds:
    """Check the arguments of a run."""
    if not callable(getattr(schedule, "chooser", None)):
        msg = f"schedule must be a Schedule or Priorities, not {shown(schedule)}"
        raise TypeError(msg)
    for body in bodies:
        refuse_uncallable(body, "run_interleaved")
    if not is_count(max_steps, 1):
        msg = f"max_steps must be a whole number from 1 on, not {shown(max_steps)}"
        raise ValueError(msg)
    if not is_seconds(patience) or not 0 < patience < 1e6:
        msg = f"patience must be a number of seconds above 0, not {shown(patience)}"
        raise ValueError(msg)
    return Bounds(max_steps, patience)


def interleaving(scheduler: Scheduler, bodies: int) -> Interleaving:
    """Return what happened."""
    return Interleaving(
        tuple(task.result for task in scheduler.tasks[:bodies]),
        steps_of(scheduler),
        scheduler.now,
        _repeating(scheduler.points),
    )


def error_of(scheduler: Scheduler) -> BaseException | None:
    """Return what to raise for a run, with notes; None if it went well."""
    over = error = scheduler.over
    errors = [task.error for task in scheduler.tasks if task.error is not None]
    if errors:
        error = errors[0]
        if len(errors) > 1:
            error = BaseExceptionGroup("several bodies raised", errors)
        if over is not None:
            # As a rule since the others waited for the one that raised.
            error.add_note(f"then {type(over).__name__}: {over}")
    if error is not None:
        add_notes(error, scheduler)
    return error


def add_notes(error: BaseException, scheduler: Scheduler) -> None:
    """Add to `error` the schedule that repeats the run, and the table of its steps."""
    schedule = _repeating(scheduler.points)
    error.add_note(f"under {schedule!r}:\n{table(steps_of(scheduler))}")


def steps_of(scheduler: Scheduler) -> tuple[Step, ...]:
    """Return what happened, as text."""
    names = scheduler.names
    return tuple(
        Step(
            one.task.title(),
            one.operation,
            "" if one.cell is None else names[one.cell],
            "" if one.value is None else shortly(one.value),
            one.switched,
        )
        for one in scheduler.entries
    )


def _repeating(points: Sequence[Point]) -> Schedule:
    """Return the schedule that makes these choices again."""
    switches = []
    before = -1
    for index, (_, _, which) in enumerate(points):
        if which >= 0:
            switches.append((index - before - 1, which))
            before = index
    return Schedule(*switches)
