"""`explore`: all schedules with few preemptions.

A run tells at which choices another thread could have gone on. Each of them that
comes after the last switch of its schedule makes one more schedule. So each is made
once, and each has all switches of the one that it comes from.

A switch where the thread before it could have gone on is a preemption. Those with
fewer come first, so the first that fails has as few as any.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, overload

from atomos.stm._arguments import shown
from atomos.stm._fitness import refuse_uncallable
from atomos.stm._run import is_count
from atomos.testing._execute import execute, refuse_inside
from atomos.testing._instrument import instrumented
from atomos.testing._interleaved import (
    MAX_STEPS,
    PATIENCE,
    add_notes,
    bounds,
    error_of,
    interleaving,
)
from atomos.testing._schedule import Schedule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from atomos.testing._execute import Bounds
    from atomos.testing._interleaved import Interleaving
    from atomos.testing._scheduler import Point, Scheduler

__all__ = ["Exploration", "explore"]

T = TypeVar("T")

#: Seconds between two words on how far it is.
OFTEN = 2.0


@dataclass(frozen=True)
class Exploration:
    """What was explored, and nothing was found.

    Attributes:
        runs: How many schedules were run.
        complete: There are no more with that many preemptions.
        preemptions: How many a schedule had at most.

    Example:
        >>> from atomos import Atom
        >>> from atomos.testing import explore
        >>> tally = Atom(0)
        >>> def add():
        ...     _ = tally.swap(lambda n: n + 1)
        >>> explore(add, add, preemptions=0)
        Exploration(runs=2, complete=True, preemptions=0)
    """

    runs: int
    complete: bool
    preemptions: int


@overload
def explore(
    *bodies: Callable[[], object],
    preemptions: int = 2,
    setup: None = None,
    check: Callable[[Interleaving], object] | None = None,
    limit: int | None = None,
    max_steps: int = MAX_STEPS,
    patience: float = PATIENCE,
) -> Exploration: ...


@overload
def explore(
    *bodies: Callable[[T], object],
    preemptions: int = 2,
    setup: Callable[[], T],
    check: Callable[[T, Interleaving], object] | None = None,
    limit: int | None = None,
    max_steps: int = MAX_STEPS,
    patience: float = PATIENCE,
) -> Exploration: ...


def explore(
    *bodies: Callable[..., object],
    preemptions: int = 2,
    setup: Callable[[], Any] | None = None,
    check: Callable[..., object] | None = None,
    limit: int | None = None,
    max_steps: int = MAX_STEPS,
    patience: float = PATIENCE,
) -> Exploration:
    """Run bodies under all schedules with at most so many preemptions.

    Those with the fewest come first, and the first that fails ends it. Where a thread
    ends or sleeps, each of the others goes on once, which counts as no preemption. Most
    bugs of concurrent code show themselves with two.

    Args:
        *bodies: As for `run_interleaved`. With `setup`, functions of what that
            returned.
        preemptions: How often at most a thread is stopped that could go on.
        setup: Called before each run; makes what the bodies use. Without it they
            must leave all as they have found it.
        check: Called after each run, with what `setup` returned, if there is one, and
            with the `Interleaving`. What it raises, an assertion in most cases, is
            a failure. What it returns does not matter.
        limit: Runs at most; None for no limit.
        max_steps: As for `run_interleaved`.
        patience: As for `run_interleaved`.

    Returns:
        How many schedules were run.

    Raises:
        BaseException: What a run or `check` raised; its notes have the schedule and
            the table of steps.
        NestedRunError: Called inside of a run or a transaction.
        TypeError: `bodies`, `setup` or `check` are not callable.
        ValueError: One of the numbers is none.

    Cost: O(choices ** preemptions) runs, some thousands per second; where it takes
        long and standard error is a terminal, that is told how far it is.

    Source: Musuvathi and Qadeer, "Iterative context bounding for systematic testing
        of multithreaded programs", PLDI 2007.

    Example:
        >>> from atomos import Atom
        >>> from atomos.testing import explore
        >>> def add(tally):
        ...     tally.reset(tally.deref() + 1)
        >>> def is_two(tally, run):
        ...     assert tally.deref() == 2
        >>> try:
        ...     _ = explore(add, add, setup=lambda: Atom(0), check=is_two)
        ... except AssertionError as error:
        ...     print(error.__notes__[0].splitlines()[0])
        under Schedule((2, 0)):
        >>> def swap(tally):
        ...     _ = tally.swap(lambda n: n + 1)
        >>> explore(swap, swap, setup=lambda: Atom(0), check=is_two).complete
        True
    """
    limits = bounds(Schedule(), bodies, max_steps, patience)
    for name, function in (("setup", setup), ("check", check)):
        if function is not None:
            refuse_uncallable(function, f"explore, as {name},")
    if not is_count(preemptions, 0):
        msg = f"preemptions must be a whole number from 0 on, not {shown(preemptions)}"
        raise ValueError(msg)
    if limit is not None and not is_count(limit, 1):
        msg = f"limit must be a whole number from 1 on, or None, not {shown(limit)}"
        raise ValueError(msg)
    refuse_inside()
    frontier = _Frontier(preemptions)
    progress = _Progress()
    runs = 0
    with instrumented(), progress:
        while limit is None or runs < limit:
            schedule = frontier.next()
            if schedule is None:
                return Exploration(runs, True, preemptions)
            scheduler = _one_run(schedule, bodies, setup, check, limits)
            runs += 1
            frontier.add(schedule, scheduler.points)
            progress.tell(runs, frontier)
    return Exploration(runs, frontier.is_empty(), preemptions)


def _one_run(
    schedule: Schedule,
    bodies: Sequence[Callable[..., object]],
    setup: Callable[[], Any] | None,
    check: Callable[..., object] | None,
    limits: Bounds,
) -> Scheduler:
    """Set up, run and check; raise what fails."""
    state = () if setup is None else (setup(),)
    given = [partial(body, *state) for body in bodies] if state else bodies
    scheduler = execute(schedule, given, limits)
    error = error_of(scheduler)
    if error is not None:
        try:
            raise error
        finally:
            del error  # its traceback leads back here
    if check is not None:
        try:
            check(*state, interleaving(scheduler, len(bodies)))
        except BaseException as failure:
            add_notes(failure, scheduler)
            raise
    return scheduler


class _Frontier:
    """Schedules that are still to be run, by how many preemptions they have.

    Attributes:
        level: How many those have that are run now. Never decreases.
    """

    __slots__ = ("_levels", "level")

    def __init__(self, preemptions: int) -> None:
        self.level = 0
        self._levels: list[deque[Schedule]] = [deque() for _ in range(preemptions + 1)]
        self._levels[0].append(Schedule())

    def next(self) -> Schedule | None:
        """Return the next schedule to run; None when all were run."""
        while not self.is_empty():
            if self._levels[self.level]:
                return self._levels[self.level].popleft()
            self.level += 1
        return None

    def is_empty(self) -> bool:
        """Whether all were run."""
        return not any(self._levels)

    def waiting(self) -> int:
        """Return how many are known that are still to be run."""
        return sum(map(len, self._levels))

    def add(self, schedule: Schedule, points: list[Point]) -> None:
        """Add those that have one more switch than `schedule`, which made `points`."""
        for preempts, made in _longer(schedule, points):
            if self.level + preempts < len(self._levels):
                self._levels[self.level + preempts].append(made)


def _longer(schedule: Schedule, points: list[Point]) -> Iterator[tuple[bool, Schedule]]:
    """Yield the schedules with one more switch, and whether that is a preemption."""
    switches = schedule.switches
    first = sum(gap + 1 for gap, _ in switches)
    for index in range(first, len(points)):
        others, preempts, _ = points[index]
        for which in range(others):
            yield preempts, Schedule(*switches, (index - first, which))


class _Progress:
    """Tells a terminal how far it is, if it takes long."""

    def __init__(self) -> None:
        self._next = time.monotonic() + OFTEN
        self._told = False

    def tell(self, runs: int, frontier: _Frontier) -> None:
        if time.monotonic() < self._next or not sys.stderr.isatty():
            return
        self._next = time.monotonic() + OFTEN
        self._told = True
        sys.stderr.write(
            f"\rexplore: {runs} schedules run, now with {frontier.level} preemptions, "
            f"{frontier.waiting()} known to come \x1b[K"
        )
        sys.stderr.flush()

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        if self._told:
            sys.stderr.write("\n")
