"""The arrows of a trace: from the commit that caused a conflict to what it ended.

A commit is known by its number. Who has lost to it may hear of that number before it is
told where the bar of the commit lies. So arrows are kept until that is known.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from atomos.stm._tracefile import arrow_event

if TYPE_CHECKING:
    from atomos.stm._tracefile import Event

__all__ = ["Arrows"]

#: Commits that an arrow can start from, and arrows that are kept.
COMMITS, ARROWS = 20_000, 10_000


class Start(NamedTuple):
    """The bar of a commit; times in nanoseconds."""

    row: int
    start: int
    end: int


class Arrow(NamedTuple):
    """An arrow that is not written yet, and where it ends."""

    commit: int
    row: int
    at: int


class Arrows:
    """Commits, and arrows that wait for theirs. Each call is safe from any thread.

    Attributes:
        _commits: By number. Removed from by `events` alone.
        _forgotten: All commits up to this have been removed.
        _arrows: To be written. Taken by `events` alone; beyond `ARROWS` the oldest go.
        _drawn: Arrows written so far.
    """

    __slots__ = ("_arrows", "_commits", "_drawn", "_forgotten")

    def __init__(self) -> None:
        self._commits: dict[int, Start] = {}
        self._arrows: deque[Arrow] = deque(maxlen=ARROWS)
        self._forgotten = self._drawn = 0

    def start(self, commit: int, row: int, start: int, end: int) -> None:
        """Note the bar of a commit."""
        self._commits[commit] = Start(row, start, end)

    def end(self, commit: int, row: int, at: int) -> None:
        """Have an arrow lead from a commit to a place in a row."""
        self._arrows.append(Arrow(commit, row, at))

    def events(self, zero: int) -> list[Event]:
        """Take the arrows whose start is known; forget the oldest commits.

        To be called by one thread at a time.

        Args:
            zero: The time from which those of events are counted.
        """
        events = []
        for _ in range(len(self._arrows)):
            arrow = self._arrows.popleft()
            commit = self._commits.get(arrow.commit)
            if commit is not None:
                self._drawn += 1
                # It has committed before, within its bar, whose end was measured later.
                at = min(commit.end - 1, arrow.at) - zero
                events += [
                    arrow_event(self._drawn, commit.row, at, start=True),
                    arrow_event(self._drawn, arrow.row, arrow.at - zero, start=False),
                ]
            elif arrow.commit > self._forgotten:
                self._arrows.append(arrow)
        if len(self._commits) > COMMITS:
            for number in sorted(self._commits.copy())[: -COMMITS // 2]:
                del self._commits[number]
                self._forgotten = number
        return events
