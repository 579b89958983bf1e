"""Time in a run: it stands still while a thread can go on, and then jumps."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from atomos.stm._arguments import shown
from atomos.stm._run import is_seconds
from atomos.testing._locks import Gate
from atomos.testing._task import my_task

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["clocks", "now", "sleep"]


def now() -> float:
    """Return seconds: virtual ones in a thread of a run, else of `time.monotonic`.

    A run begins at 0. No time passes while a thread can go on; when none can, it
    jumps to the earliest end of a sleep or timeout.

    Cost: O(1); in a run a step.

    Example:
        >>> from atomos.testing import Schedule, now, run_interleaved, sleep
        >>> def body():
        ...     sleep(3600)
        ...     return now()
        >>> run_interleaved(Schedule(), body).results
        (3600.0,)
    """
    task = my_task()
    if task is None:
        return time.monotonic()
    task.scheduler.step(task, "now")
    return task.scheduler.now


def sleep(seconds: float) -> None:
    """Sleep: in virtual time in a thread of a run, else as `time.sleep`.

    Code to be tested takes this, or `time.sleep`, as an argument.

    Args:
        seconds: From 0 on.

    Raises:
        ValueError: `seconds` is no number of seconds.

    Cost: in a run a step, and no time.

    Example:
        >>> from atomos.testing import Schedule, run_interleaved, sleep
        >>> run_interleaved(Schedule(), lambda: sleep(86400)).seconds
        86400.0
    """
    if not is_seconds(seconds):
        msg = f"seconds must be a number of seconds, not {shown(seconds)}"
        raise ValueError(msg)
    task = my_task()
    if task is None:
        time.sleep(seconds)
        return
    task.scheduler.step(task, "sleep")
    gate = Gate()
    gate.held = True  # nobody ever opens it
    before, task.waits_for = task.waits_for, lambda: "the end of its sleep"
    try:
        task.scheduler.wait(task, gate, seconds)
    finally:
        task.waits_for = before


def clocks(monotonic: Callable[[], float]) -> Callable[[], float]:
    """Return what the engine's modules call for the time during a run."""

    def virtual() -> float:
        task = my_task()
        return monotonic() if task is None else task.scheduler.now

    return virtual
