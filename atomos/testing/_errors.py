"""What a run under a schedule may end with, beside the errors of its bodies."""

from __future__ import annotations

from atomos.errors import AtomosError

__all__ = ["DeadlockError", "NestedRunError", "NoProgressError", "StuckError"]


class DeadlockError(AtomosError, RuntimeError):
    """All threads of a run wait, and none of them for a time to pass.

    The message names each thread and what it waits for.
    """


class NoProgressError(AtomosError, RuntimeError):
    """A run made as many steps as it may, and has not ended.

    Its bodies wait for each other by looking again and again, or are long: then
    raise `max_steps`.
    """


class StuckError(AtomosError, RuntimeError):
    """A thread of a run came to no step for long, in real time.

    It waits for something that is not of this library, such as a lock that another
    thread of the run holds, or computes for long. The message has its stack.
    """


class NestedRunError(AtomosError, RuntimeError):
    """A run was started inside of a run, or inside of a transaction."""
