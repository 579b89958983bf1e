"""What is said of a run that does not end by itself."""

from __future__ import annotations

import sys
import traceback
from typing import TYPE_CHECKING

from atomos.testing._errors import DeadlockError, NoProgressError, StuckError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from atomos.testing._table import Names
    from atomos.testing._task import Task

__all__ = ["deadlock", "no_progress", "stuck"]


def deadlock(tasks: Sequence[Task], names: Names) -> DeadlockError:
    """Return the error that tells what each thread waits for."""
    lines = [
        f"  {one.title()} waits for {names.within(one.waits_for())}\n"
        for one in tasks
        if not one.done
    ]
    return DeadlockError(
        f"all threads wait, and no time ends it:\n{''.join(lines)}"
        "See in the table who should have let them go on"
    )


def no_progress(tasks: Sequence[Task], steps: int, changes: int) -> NoProgressError:
    """Return the error that tells who has not ended."""
    left = [one for one in tasks if not one.done]
    names = ", ".join(one.title() for one in left)
    tired = all(one.tired == changes or one.gate is not None for one in left)
    why = "did nothing but look for what the others do" if tired else "had not ended"
    return NoProgressError(
        f"after {steps} steps {names} {why}: see in the table what they do, or raise "
        "max_steps"
    )


def stuck(task: Task, patience: float) -> StuckError:
    """Return the error that tells where `task` is, which has the baton."""
    assert task.worker is not None
    frame = sys._current_frames().get(task.worker.thread.ident or 0)
    stack = "" if frame is None else "".join(traceback.format_stack(frame))
    return StuckError(
        f"{task.title()} came to no step for {patience:g} s of real time. It waits for "
        "something that is not of atomos, perhaps a lock of another thread of the run, "
        f"or computes for long; then raise `patience`. It is here:\n{stack}"
    )
