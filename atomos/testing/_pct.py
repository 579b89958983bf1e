"""Priorities that are drawn by chance, and change a few times.

Each thread has a priority, drawn when it comes. The highest one that can go on does.
At ``depth - 1`` choices, drawn beforehand, the one about to go on gets a priority
below all. A bug that needs `depth` events in a certain order shows itself with a
probability of at least 1 / (threads * length ** (depth - 1)) in each run, however
many schedules there are.

One that only waits for others gets the lowest priority of all, so it hinders nobody.

Source: Burckhardt, Kothari, Musuvathi and Nagarakatte, "A randomized scheduler with
probabilistic guarantees of finding bugs", ASPLOS 2010.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from atomos.stm._arguments import shown
from atomos.stm._run import is_count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from atomos.testing._schedule import Chooser

__all__ = ["Priorities"]


class Priorities:
    """A schedule by random priorities, from a seed.

    Attributes:
        seed: Where the chances come from.
        depth: How many events in a certain order a bug may need.
        length: How many choices a run has, roughly.

    Raises:
        ValueError: `seed`, `depth` or `length` is no such number.

    Cost: to make one, O(1); a choice of a run O(threads).

    Source: Burckhardt, Kothari, Musuvathi and Nagarakatte, "A randomized scheduler with
    probabilistic guarantees of finding bugs", ASPLOS 2010.

    Example:
        >>> from atomos import Atom
        >>> from atomos.testing import Priorities, run_interleaved
        >>> tally = Atom(0)
        >>> def add():
        ...     tally.reset(tally.deref() + 1)
        >>> def is_lost(seed):
        ...     _ = tally.reset(0)
        ...     _ = run_interleaved(Priorities(seed, depth=2, length=8), add, add)
        ...     return tally.deref() == 1
        >>> any(is_lost(seed) for seed in range(100))
        True
    """

    __slots__ = ("_made",)

    def __init__(self, seed: int, depth: int = 3, length: int = 100) -> None:
        """Draw from `seed`.

        Args:
            seed: A whole number from 0 on.
            depth: Events that a bug needs in a certain order, from 1 on.
            length: About as many choices as a run has, from 1 on.
        """
        for name, value, least in (
            ("seed", seed, 0),
            ("depth", depth, 1),
            ("length", length, 1),
        ):
            if not is_count(value, least):
                msg = f"{name} must be a whole number from {least} on, not "
                raise ValueError(msg + shown(value))
        self._made = (seed, depth, length)

    @property
    def seed(self) -> int:
        """Where the chances come from."""
        return self._made[0]

    @property
    def depth(self) -> int:
        """How many events in a certain order a bug may need."""
        return self._made[1]

    @property
    def length(self) -> int:
        """How many choices a run has, roughly."""
        return self._made[2]

    def __repr__(self) -> str:
        """Return code that makes it again."""
        seed, depth, length = self._made
        return f"{type(self).__name__}({seed}, depth={depth}, length={length})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Priorities):
            return NotImplemented
        return self._made == other._made

    def __hash__(self) -> int:
        return hash(self._made)

    def chooser(self) -> Chooser:
        """Return what decides for one run."""
        return _Ranking(*self._made)


class _Ranking:
    """The priorities in one run.

    Attributes:
        ranks: Thread -> priority; the highest goes on. All differ.
        changes: Choices at which a priority changes.
        count: Choices made.
        lowest: Below all priorities.
    """

    __slots__ = ("_changes", "_count", "_lowest", "_random", "_ranks")

    def __init__(self, seed: int, depth: int, length: int) -> None:
        self._random = Random(seed)
        self._ranks: dict[int, float] = {}
        self._changes = {self._random.randrange(length) for _ in range(depth - 1)}
        self._count = 0
        self._lowest = 0.0

    def choose(self, default: int, others: Sequence[int], tired: int | None) -> int:
        there = sorted((default, *others))
        for number in there:
            if number not in self._ranks:
                self._ranks[number] = self._random.random()
        if tired is not None:
            self._lower(tired)
        chosen = max(there, key=self._ranks.__getitem__)
        if self._count in self._changes:
            self._lower(chosen)
            chosen = max(there, key=self._ranks.__getitem__)
        self._count += 1
        return chosen

    def _lower(self, number: int) -> None:
        self._lowest -= 1.0
        self._ranks[number] = self._lowest
