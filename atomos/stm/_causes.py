"""How attempts end, and what threads wait for: the names used in all reports."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Cause", "Wait"]


class Cause(StrEnum):
    """How an attempt, or the whole transaction, has ended.

    Attributes:
        COMMITTED: It has committed.
        STALE: What it had read was changed by another transaction.
        OVERTAKEN: What it wrote was written by another one after its snapshot was
            taken, under ``isolation="snapshot"``: the first committer wins.
        HISTORY: `max_history` had dropped a version that it needed.
        WAITED: It has called `retry`. It lost nothing.
        CUT_SHORT: An exception from outside hit it while a part was being undone.
        TIMEOUT: Its timeout passed.
        GIVEN_UP: It lost as often as `max_attempts` allows, or its block was dropped.
        EXCEPTION: Any other exception left it, of its body or of this library.

    Example:
        >>> from atomos import Ref, atomically
        >>> from atomos.stm import Cause, collecting
        >>> with collecting() as collected:
        ...     try:
        ...         atomically(Ref(1).alter, lambda n: n / 0)
        ...     except ZeroDivisionError:
        ...         pass
        >>> collected.statistics()["Ref.alter"].aborts[Cause.EXCEPTION]
        1
    """

    COMMITTED = "committed"
    STALE = "stale read"
    OVERTAKEN = "overtaken"
    HISTORY = "history lost"
    WAITED = "waited"
    CUT_SHORT = "cut short"
    TIMEOUT = "timeout"
    GIVEN_UP = "given up"
    EXCEPTION = "exception"


class Wait(StrEnum):
    """What a transaction waits for.

    Attributes:
        HELD: A ref that it wants to write or hold, and another transaction holds.
        TURN: The end of the plain blocks before it in the queue.
        RETRY: A change of something that it has read, in `retry`.

    Example:
        >>> from atomos import Atom, atomically
        >>> from atomos.stm import Wait, collecting
        >>> from atomos.testing import Schedule, run_interleaved
        >>> mail = Atom("")
        >>> def post():
        ...     _ = mail.reset("a letter")
        >>> with collecting() as collected:
        ...     _ = run_interleaved(Schedule(), lambda: mail.wait_for(bool), post)
        >>> [one.waits[Wait.RETRY] for one in collected.statistics()]
        [1]
    """

    HELD = "ref held"
    TURN = "turn of plain blocks"
    RETRY = "retry"
