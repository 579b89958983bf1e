"""The rows of a trace: who has one, and what is open in it."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from atomos.stm._causes import Cause
from atomos.stm._tracefile import Bar

if TYPE_CHECKING:
    from atomos.stm._attempts import Attempt
    from atomos.stm._registry import ThreadRecord

__all__ = ["COLOURS", "RUNNING", "STILL_RUNNING", "WAITING", "Open", "Thread", "bar_of"]

#: The colour of a bar: names that the format reserves.
COLOURS = {
    Cause.COMMITTED: "good",
    Cause.STALE: "bad",
    Cause.OVERTAKEN: "bad",
    Cause.HISTORY: "bad",
    Cause.CUT_SHORT: "bad",
    Cause.WAITED: "thread_state_sleeping",
    Cause.TIMEOUT: "terrible",
    Cause.GIVEN_UP: "terrible",
    Cause.EXCEPTION: "terrible",
}
RUNNING, WAITING = "yellow", "grey"
STILL_RUNNING = "still running"


class Open(NamedTuple):
    """An attempt that is about to begin or has begun, and its place."""

    thread: Thread
    lane: int
    label: str
    number: int
    attempt: Attempt

    @property
    def row(self) -> int:
        """The number of its row in the file."""
        return self.thread.rows[self.lane]


class Thread:
    """What is kept for one thread.

    Attributes:
        record: Tells when the thread has ended.
        name: Its name.
        rows: The number of each of its rows.
        lanes: Of each row, what is open in it; None if nothing is.
        bars: To be written.
    """

    __slots__ = ("bars", "lanes", "name", "record", "rows")

    def __init__(self, record: ThreadRecord, name: str) -> None:
        self.record = record
        self.name = name
        self.rows: list[int] = []
        self.lanes: list[Open | None] = []
        self.bars: deque[Bar] = deque()

    def is_over(self) -> bool:
        """Whether nothing will be added to it."""
        return self.record.dead and not any(self.lanes)


def bar_of(
    found: Open, outcome: str, colour: str, end: int, args: dict[str, Any]
) -> Bar:
    """Return the bar of an attempt."""
    name = f"{found.label} #{found.number}: {outcome}"
    start = found.attempt.start
    return Bar(found.row, name, f"attempt,{outcome}", colour, start, end, args)
