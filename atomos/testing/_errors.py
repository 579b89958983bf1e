"""What a run under a schedule may end with, beside the errors of its bodies."""

from __future__ import annotations

from atomos.errors import AtomosError

__all__ = ["DeadlockError", "NestedRunError", "NoProgressError", "StuckError"]


class DeadlockError(AtomosError, RuntimeError):
    """All threads of a run wait, and none of them for a time to pass.

    The message names each thread and what it waits for.

    Its notes have the schedule and the table of steps: see there who should have let
    them go on.

    Example:
        >>> from atomos import Atom
        >>> from atomos.testing import Schedule, run_interleaved
        >>> mail = Atom((), name="mail")
        >>> def read_mail():
        ...     return mail.wait_for(bool)
        >>> run_interleaved(Schedule(), read_mail)
        Traceback (most recent call last):
            ...
        atomos.testing._errors.DeadlockError: all threads wait, and no time ends it:
          0 read_mail waits for a change of mail, ...
    """


class NoProgressError(AtomosError, RuntimeError):
    """A run made as many steps as it may, and has not ended.

    Its bodies wait for each other by looking again and again, or are long: then
    raise `max_steps`.

    Example:
        >>> from atomos import Atom
        >>> from atomos.testing import Schedule, run_interleaved
        >>> mail = Atom(())
        >>> def read_mail():
        ...     while not mail.deref():
        ...         pass
        >>> run_interleaved(Schedule(), read_mail, max_steps=50)
        Traceback (most recent call last):
            ...
        atomos.testing._errors.NoProgressError: after 50 steps 0 read_mail had not ...
    """


class StuckError(AtomosError, RuntimeError):
    """A thread of a run came to no step for long, in real time.

    It waits for something that is not of this library, such as a lock that another
    thread of the run holds, or computes for long. The message has its stack.

    Let the threads of a run wait for each other by what this library offers, or raise
    `patience`.

    Example:
        >>> from threading import Event
        >>> from atomos.testing import Schedule, run_interleaved
        >>> opened = Event()
        >>> try:
        ...     run_interleaved(Schedule(), opened.wait, patience=0.01)
        ... finally:
        ...     opened.set()
        Traceback (most recent call last):
            ...
        atomos.testing._errors.StuckError: 0 wait came to no step for 0.01 s of real ...
    """


class NestedRunError(AtomosError, RuntimeError):
    """A run was started inside of a run, or inside of a transaction.

    Its threads would wait for what is around it. Start it outside.

    Example:
        >>> from atomos import dosync
        >>> from atomos.testing import Schedule, run_interleaved
        >>> with dosync():
        ...     run_interleaved(Schedule(), print)
        Traceback (most recent call last):
            ...
        atomos.testing._errors.NestedRunError: a run was started inside of a ...
    """
