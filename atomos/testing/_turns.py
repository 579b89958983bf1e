"""Steps at the version clock.

The ways in which the engine takes its turn at the clock are iterators, so they are
replaced by ones that announce a step first. What follows the announcement, taking
the number, is one call into C, as it is without us: see `_turn`.

With the GIL the numbers lie in a list, to which more are added before they run out.
So nobody who draws from it comes to its end, and how many steps a commit has does not
depend on how many numbers were left.
"""

from __future__ import annotations

from operator import length_hint, mul
from typing import TYPE_CHECKING

from atomos.stm import _turn
from atomos.stm._turn import BATCH, FREE, clock
from atomos.testing._task import my_task

if TYPE_CHECKING:
    from collections.abc import Iterator

    from atomos.stm._registry import ThreadRecord

__all__ = ["Turns", "announcing", "own_turns_back", "own_turns_replaced"]


def announcing(turns: Iterator[int]) -> Iterator[int]:
    """Return `turns`, each of them announced if the thread is of a run."""
    return map(mul, iter(_announce, None), turns)  # True times a number is the number


def _announce() -> bool:
    task = my_task()
    if task is not None:
        task.scheduler.turn(task)
    return True


class Turns:
    """What `clock.steps` is while somebody runs under a schedule.

    Attributes:
        numbers: Those that were laid ready; drawn from by `source`. Unused without
            the GIL.
        source: What `clock.steps` is afterwards.
        present: What it is until then.
    """

    __slots__ = ("_numbers", "_present", "_source")

    def __init__(self) -> None:
        self._numbers: list[int] = []
        if FREE:
            self._source = clock.steps
            self._present = clock.steps = announcing(self._source)
            return
        while True:
            before = clock.steps
            # Who still draws from it finds it at its end, and comes here.
            self._numbers = list(before)
            self._source = iter(self._numbers)
            self._present = map(mul, iter(self._announce, None), self._source)
            with _turn._repair.lock:
                if clock.steps is before:
                    clock.steps = self._present
                    return

    def _announce(self) -> bool:
        if length_hint(self._source) < BATCH:
            self._lay_ready()
        return _announce()

    def _lay_ready(self) -> None:
        """Add numbers to the list, unless another thread is at it."""
        end = clock.end
        fresh = range(end + 1, end + 1 + BATCH)
        # Not waiting: this may be a signal handler of who holds it.
        if _turn._repair.lock.acquire(False):
            try:
                if clock.end == end:
                    clock.end = end + BATCH
                    self._numbers.extend(fresh)
            finally:
                _turn._repair.lock.release()

    def close(self) -> None:
        """Put a plain iterator back, with the numbers that are left."""
        with _turn._repair.lock:
            if clock.steps is self._present:
                clock.steps = self._source


def own_turns_replaced(record: ThreadRecord) -> Iterator[int]:
    """Announce the turns of one thread, too; return what its way was before."""
    before = record.steps
    if FREE:
        record.steps = announcing(before)
    return before


def own_turns_back(record: ThreadRecord, before: Iterator[int]) -> None:
    """Undo `own_turns_replaced`."""
    record.steps = before
