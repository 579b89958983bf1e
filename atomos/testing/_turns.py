"""Steps at the version clock.

The ways in which the engine takes its turn at the clock are iterators, so they are
replaced by ones that announce a step first.

With the GIL that is `Steps`. Between its taking of a number and the ``try`` in the
engine nothing is called and nothing loops, as it is without us: see `_turn`. It never
ends, so how many steps a commit has does not depend on how many numbers were left.

Without the GIL the turn is a lock, so all is left to what was there: `announcing`.
"""

from __future__ import annotations

from operator import mul
from typing import TYPE_CHECKING

from atomos.stm import _turn
from atomos.stm._turn import BATCH, FREE, clock
from atomos.testing._task import my_task

if TYPE_CHECKING:
    from collections.abc import Iterator

    from atomos.stm._registry import ThreadRecord

__all__ = ["Replaced", "announcing", "own_turns_back", "own_turns_replaced"]


def announcing(turns: Iterator[int]) -> Iterator[int]:
    """Return `turns`, each of them announced if the thread is of a run."""
    return map(mul, iter(_announce, None), turns)  # True times a number is the number


def _announce() -> bool:
    task = my_task()
    if task is not None:
        task.scheduler.turn(task)
    return True


class Steps:
    """Hands out the numbers of the clock, with the GIL; each is announced.

    Attributes:
        source: An iterator over a list, as `clock.steps` is without us. Replaced under
            the lock of `_repair`, and only while `clock.steps` is this object. So a
            thread that comes late takes what others take, or nothing.
    """

    __slots__ = ("source",)

    def __init__(self, source: Iterator[int]) -> None:
        self.source = source

    def __iter__(self) -> Steps:
        return self

    def __next__(self) -> int:
        """Announce a step, and take a number."""
        _announce()
        while True:
            source = self.source
            for number in source:
                return number
            self._more(source)

    def __length_hint__(self) -> int:
        """Return that there are more: `more_numbers` need do nothing."""
        return 1

    def _more(self, ended: Iterator[int]) -> None:
        """As `more_numbers`, for `source`."""
        end = clock.end
        fresh = iter(list(range(end + 1, end + 1 + BATCH)))
        with _turn._repair.lock:
            if clock.steps is not self:
                raise StopIteration  # nobody runs any more: `clock.steps` has them
            if self.source is ended and clock.end == end:
                clock.end, self.source = end + BATCH, fresh


class Replaced:
    """`clock.steps` while somebody runs under a schedule."""

    __slots__ = ("_before", "_present")

    def __init__(self) -> None:
        while True:
            self._before = before = clock.steps
            self._present = announcing(before) if FREE else Steps(before)
            with _turn._repair.lock:
                if clock.steps is before:
                    clock.steps = self._present
                    return

    def close(self) -> None:
        """Put back what was there; with the GIL, an iterator over a list."""
        present = self._present
        with _turn._repair.lock:
            if isinstance(present, Steps):
                clock.steps = present.source
            else:
                clock.steps = self._before


def own_turns_replaced(record: ThreadRecord) -> Iterator[int]:
    """Announce the turns of one thread, too; return what its way was before."""
    before = record.steps
    if FREE:
        record.steps = announcing(before)
    return before


def own_turns_back(record: ThreadRecord, before: Iterator[int]) -> None:
    """Undo `own_turns_replaced`."""
    record.steps = before
