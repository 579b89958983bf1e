"""Schedules: which thread goes on, as data.

A *choice* is a step, or an end of a thread, or its falling asleep, at which more
than one thread could go on. At each there is one that goes on by itself: the thread
that has the baton, or, if that cannot, the lowest-numbered one. A schedule says at
which choices another one goes on. So the empty schedule switches only where it
must, and to take out a switch of a schedule is to take out an item.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn, Protocol

from atomos.stm._arguments import shown
from atomos.stm._run import is_count

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Chooser", "Choosing", "Schedule"]


class Chooser(Protocol):
    """Decides for one run."""

    def choose(self, default: int, others: Sequence[int], tired: int | None) -> int:
        """Return the number of the thread that goes on.

        Args:
            default: The one that goes on by itself.
            others: Those that could go on instead, in order; not empty.
            tired: The one that has the baton and only waits for the others.
        """


class Choosing(Protocol):
    """What makes choosers: a schedule of any kind. Each is as good as new."""

    def chooser(self) -> Chooser:
        """Return what decides for one run."""


class Schedule:
    """At which choices another thread goes on than would by itself.

    A thread goes on until it ends, or sleeps, or a switch comes; then the
    lowest-numbered one that can. Schedules are equal if their switches are.

    Attributes:
        switches: Pairs of a gap and a which: after ``gap`` more choices, go on with
            number ``which`` of the threads that could go on instead, counted in
            order and around. A choice is a step at which another thread could go
            on.

    Raises:
        TypeError: A switch is no pair of whole numbers from 0 on.

    Cost: to make one, O(switches).

    Example:
        >>> from atomos import Atom
        >>> from atomos.testing import Schedule, run_interleaved
        >>> tally = Atom(0)
        >>> def add():
        ...     tally.reset(tally.deref() + 1)
        >>> run_interleaved(Schedule(), add, add).results
        (None, None)
        >>> tally
        Atom(2)
        >>> _ = run_interleaved(Schedule((2, 0)), add, add)
        >>> tally  # and now one of them is lost
        Atom(3)
    """

    __slots__ = ("switches",)

    switches: tuple[tuple[int, int], ...]

    def __init__(self, *switches: tuple[int, int]) -> None:
        """Switch after gaps.

        Args:
            *switches: Pairs of whole numbers from 0 on.
        """
        for pair in switches:
            if not _is_switch(pair):
                msg = (
                    "a switch must be a pair of whole numbers from 0 on, (gap, which), "
                    f"not {shown(pair)}"
                )
                raise TypeError(msg)
        object.__setattr__(self, "switches", switches)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        """Refuse: a schedule never changes."""
        msg = f"{name} cannot be set: a schedule never changes; make a new one"
        raise AttributeError(msg)

    def __delattr__(self, name: str) -> NoReturn:
        """Refuse: a schedule never changes."""
        self.__setattr__(name, None)

    def __reduce__(self) -> tuple[type, tuple[tuple[int, int], ...]]:
        """Copy and pickle by the switches."""
        return type(self), self.switches

    def __repr__(self) -> str:
        """Return code that makes it again."""
        return f"{type(self).__name__}({', '.join(map(repr, self.switches))})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Schedule):
            return NotImplemented
        return self.switches == other.switches

    def __hash__(self) -> int:
        return hash(self.switches)

    def chooser(self) -> Chooser:
        """Return what decides for one run."""
        return _Switching(self.switches)


def _is_switch(pair: object) -> bool:
    return (
        isinstance(pair, tuple)
        and len(pair) == 2
        and all(is_count(number, 0) for number in pair)
    )


class _Switching:
    """Goes through the switches of a schedule.

    Attributes:
        left: Those still to come, in order.
        gap: Choices until the next one.
    """

    __slots__ = ("_left", "_which", "gap")

    def __init__(self, switches: tuple[tuple[int, int], ...]) -> None:
        self._left = iter(switches)
        self._next()

    def _next(self) -> None:
        # Below 0 there is none: it does not come to 0 again.
        self.gap, self._which = next(self._left, (-1, 0))

    def choose(self, default: int, others: Sequence[int], tired: int | None) -> int:
        if self.gap:
            self.gap -= 1
            return default
        chosen = others[self._which % len(others)]
        self._next()
        return chosen
