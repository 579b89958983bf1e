"""Strategies of Hypothesis for schedules.

A schedule is drawn as a whole before the run, since nothing may be drawn in another
thread than that of the test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import strategies as st

from atomos.stm._arguments import shown
from atomos.stm._run import is_count
from atomos.testing._pct import Priorities
from atomos.testing._schedule import Schedule

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

__all__ = ["priorities", "schedules"]

#: Others of which a switch may choose one.
OTHERS = 3
SEEDS = 2**32 - 1


def schedules(*, switches: int = 6, gap: int = 30) -> SearchStrategy[Schedule]:
    """Return a strategy for schedules; a failing one shrinks to the fewest switches.

    Args:
        switches: How many there are at most.
        gap: The greatest gap between two of them, or before one that is left out. A
            gap beyond the end of a run makes no switch, so this is best about as long
            as a run has steps.

    Raises:
        ValueError: One of them is no whole number from 0 on.

    Cost: as a list of pairs of numbers.

    Example:
        >>> from hypothesis import find, settings
        >>> from atomos import Atom
        >>> from atomos.testing import run_interleaved, schedules
        >>> def lost(schedule):
        ...     tally = Atom(0)
        ...
        ...     def add():
        ...         tally.reset(tally.deref() + 1)
        ...
        ...     _ = run_interleaved(schedule, add, add)
        ...     return tally.deref() == 1
        >>> find(schedules(switches=1), lost, settings=settings(database=None))
        Schedule((2, 0))
    """
    for name, value in (("switches", switches), ("gap", gap)):
        if not is_count(value, 0):
            msg = f"{name} must be a whole number from 0 on, not {shown(value)}"
            raise ValueError(msg)
    kept = st.sampled_from([False, True, True, True])
    drawn = st.tuples(st.integers(0, gap), st.integers(0, OTHERS - 1), kept)
    return st.lists(drawn, max_size=switches).map(_without_those_left_out)


def _without_those_left_out(drawn: list[tuple[int, int, bool]]) -> Schedule:
    """Return the schedule of those that are kept.

    To leave one out makes the next gap longer, so the others stay where they were. To
    take one out of the list would move all that come after it, and what failed might
    fail no more; so shrinking would stop with too many.
    """
    switches, before = [], 0
    for gap, which, kept in drawn:
        if kept:
            switches.append((before + gap, which))
            before = 0
        else:
            before += gap + 1
    return Schedule(*switches)


def priorities(*, depth: int = 3, length: int = 100) -> SearchStrategy[Priorities]:
    """Return a strategy for schedules by random priorities, for long runs.

    They find what needs few events in a certain order, however long the run is. A seed
    does not shrink: the notes of a failure have the `Schedule` that repeats it.

    Args:
        depth: How many events in a certain order a bug may need, from 1 on.
        length: About as many choices as a run has, from 1 on.

    Raises:
        ValueError: One of them is no such number.

    Cost: as one number.

    Source: Burckhardt, Kothari, Musuvathi and Nagarakatte, "A randomized scheduler
        with probabilistic guarantees of finding bugs", ASPLOS 2010.

    Example:
        >>> from hypothesis import given, settings
        >>> from atomos import Atom
        >>> from atomos.testing import priorities, run_interleaved
        >>> @settings(max_examples=10, database=None)
        ... @given(priorities(length=10))
        ... def test(schedule):
        ...     tally = Atom(0)
        ...
        ...     def add():
        ...         return tally.swap(lambda n: n + 1)
        ...
        ...     results = run_interleaved(schedule, add, add).results
        ...     assert sorted(results) == [1, 2]
        >>> test()
    """
    Priorities(0, depth, length)  # checks them
    # No shrinking towards 0: a smaller seed is no simpler schedule.
    seeds = st.integers(0, SEEDS)
    return seeds.map(lambda seed: Priorities(seed, depth=depth, length=length))
