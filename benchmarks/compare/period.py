"""Threads that work for a given time, and how much they got done in it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from math import inf
from time import perf_counter, thread_time
from typing import TYPE_CHECKING

from benchmarks.threads import seconds_for

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    #: Measure -> seconds for one operation; None if none was finished in time.
    Figures = dict[str, float | None]

#: The measures: time that went by, and time of processors that the threads took. The
#: latter hardly depends on what else the machine does.
WALL, CPU = "wall", "cpu"


class Period:
    """A stretch of time on the wall."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._end = inf

    def begin(self) -> None:
        """Let it begin now, unless it has begun."""
        if self._end == inf:
            self._end = perf_counter() + self._seconds

    def lasts(self) -> bool:
        """Whether it is not over yet."""
        return perf_counter() < self._end


@dataclass
class Worker:
    """What one thread does again and again.

    Attributes:
        operation: The name of what it does.
        step: Does it some times, and returns how often.
        done: How often it was done.
        timely: How often within the period.
        cpu: Seconds of a processor that its thread took.
    """

    operation: str
    step: Callable[[], int]
    done: int = 0
    timely: int = 0
    cpu: float = 0.0

    def work(self, period: Period) -> None:
        """Do steps as long as `period` lasts, but at least one."""
        start = thread_time()
        period.begin()
        lasts = True
        while lasts:
            count = self.step()
            self.done += count
            lasts = period.lasts()
            if lasts:
                self.timely += count
        self.cpu = thread_time() - start


def figures(seconds: float, workers: Sequence[Worker]) -> Figures:
    """Return the figure of what `workers`, who do the same, did in `seconds`."""
    timely = sum(worker.timely for worker in workers)
    if not timely:
        return {WALL: None, CPU: None}
    done = sum(worker.done for worker in workers)
    return {WALL: seconds / timely, CPU: sum(one.cpu for one in workers) / done}


def spend(seconds: float, workers: Sequence[Worker]) -> dict[str, Figures]:
    """Let each worker work in a thread of its own, all for the same time.

    Returns:
        Operation -> seconds for one, over all threads that do it.
    """
    period = Period(seconds)
    seconds_for([partial(worker.work, period) for worker in workers])
    operations = dict.fromkeys(worker.operation for worker in workers)
    return {
        name: figures(seconds, [one for one in workers if one.operation == name])
        for name in operations
    }
