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
    """

    HELD = "ref held"
    TURN = "turn of plain blocks"
    RETRY = "retry"
