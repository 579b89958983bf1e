"""Locks that the engine sleeps at, for the threads of a run.

The engine makes a lock for each sleep. In a thread of a run it gets one of these: to
wait for it is to hand the baton on. Anybody may release it, also a thread that is
not of the run: whether it is held is looked at whenever somebody could go on.
"""

from __future__ import annotations

from _thread import TIMEOUT_MAX
from math import inf
from typing import TYPE_CHECKING

from atomos.testing._task import Stop, my_task

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["Gate", "gates"]


class Gate:
    """As a lock of `_thread`, where the scheduler knows who waits.

    Attributes:
        held: Somebody has it.
    """

    __slots__ = ("held",)

    def __init__(self) -> None:
        self.held = False

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take it, waiting in virtual time."""
        if not self.held:
            self.held = True
            return True
        if not blocking:
            return False
        task = my_task()
        if task is None:
            raise Stop  # of a run that was given up
        seconds = inf if timeout < 0 or timeout >= TIMEOUT_MAX else timeout
        return task.scheduler.wait(task, self, seconds)

    def release(self) -> None:
        """Let go."""
        if not self.held:
            msg = "release unlocked lock"
            raise RuntimeError(msg)
        self.held = False

    def locked(self) -> bool:
        """Whether somebody has it."""
        return self.held


def gates(allocate_lock: Callable[[], Any]) -> Callable[[], Any]:
    """Return what makes a gate for a thread of a run, and a real lock for others."""

    def allocate() -> Any:
        return allocate_lock() if my_task() is None else Gate()

    return allocate
