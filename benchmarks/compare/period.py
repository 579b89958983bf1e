"""Threads that work for a given time, and how much they got done in it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING

from benchmarks.threads import seconds_for

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Period:
    """A stretch of time on the wall. It begins when someone first asks about it."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._end: float | None = None

    def lasts(self) -> bool:
        """Whether it is not over yet."""
        now = perf_counter()
        if self._end is None:
            self._end = now + self._seconds
        return now < self._end


@dataclass
class Worker:
    """What one thread does again and again.

    Attributes:
        operation: The name of what it does.
        step: Does it some times, and returns how often.
        done: How often it was done.
        timely: How often within the period.
    """

    operation: str
    step: Callable[[], int]
    done: int = 0
    timely: int = 0

    def work(self, period: Period) -> None:
        """Do steps as long as `period` lasts."""
        lasts = period.lasts()
        while lasts:
            count = self.step()
            self.done += count
            lasts = period.lasts()
            if lasts:
                self.timely += count


def spend(seconds: float, workers: Sequence[Worker]) -> dict[str, float | None]:
    """Let each worker work in a thread of its own, all for the same time.

    Returns:
        Operation -> seconds for one, over all threads that do it; None if none was
        finished in time.
    """
    period = Period(seconds)
    seconds_for([partial(worker.work, period) for worker in workers])
    timely = dict.fromkeys((worker.operation for worker in workers), 0)
    for worker in workers:
        timely[worker.operation] += worker.timely
    return {name: seconds / count if count else None for name, count in timely.items()}
