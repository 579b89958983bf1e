"""Counts of attempts: how they ended, what they conflicted on, how long they took.

Each thread counts in tallies of its own, so no count is lost and nobody waits. They
are summed when somebody reads them; those of threads that have ended are kept as one.
"""

from __future__ import annotations

import os
from _thread import allocate_lock
from contextlib import contextmanager
from threading import local
from time import perf_counter
from typing import TYPE_CHECKING

from atomos.errors import StatisticsOffError
from atomos.stm._arguments import shown
from atomos.stm._attempts import Listener
from atomos.stm._causes import Cause, Wait
from atomos.stm._figures import Statistics
from atomos.stm._hearing import listen, unlisten
from atomos.stm._registry import my_record
from atomos.stm._tallies import CAUSE_PLACE, WAIT_PLACE, Tallies, Tally, add, tally_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from atomos.stm._attempts import Attempt
    from atomos.stm._registry import ThreadRecord
    from atomos.stm._transaction import Transaction

__all__ = [
    "Collected",
    "collect_if_asked",
    "collecting",
    "reset_after_fork",
    "statistics",
]

#: The environment variable that has everything counted from the start.
VARIABLE = "ATOMOS_STATISTICS"

_OfThread = tuple["ThreadRecord", Tallies]


class _Mine(local):
    """The tallies of the calling thread; None before it has counted."""

    tallies: Tallies | None = None


class Collected(Listener):
    """What one `collecting` has counted, until it ended.

    Attributes:
        _state: The sum of the tallies of threads that have ended, and those of the
            others with their records. Replaced as a whole, under `_lock`, where nothing
            is called.
        _final: The record at the end; None before.

    Cost: see `collecting`, which makes one.

    Example:
        >>> from atomos import Ref, atomically
        >>> from atomos.stm import collecting
        >>> with collecting() as collected:
        ...     _ = atomically(Ref(1).deref)
        >>> collected
        Collected(<1 commits in 1 attempts of 1 transactions in ... s>)
    """

    __slots__ = ("_began", "_final", "_lock", "_mine", "_state")

    def __init__(self) -> None:
        """Use `collecting` instead."""
        self._mine = _Mine()
        self._state: tuple[Tallies, tuple[_OfThread, ...]] = {}, ()
        self._lock = allocate_lock()
        self._began = perf_counter()
        self._final: Statistics | None = None

    def __repr__(self) -> str:
        """Show the sums."""
        return f"{type(self).__name__}({self.statistics()!r})"

    def statistics(self) -> Statistics:
        """Return what was counted so far, or up to the end.

        Cost: O(threads times transactions).

        Example:
            >>> from atomos import Ref, atomically
            >>> from atomos.stm import collecting
            >>> with collecting() as collected:
            ...     _ = atomically(Ref(1).deref)
            ...     collected.statistics().commits
            1
        """
        if self._final is not None:
            return self._final
        sums: Tallies = {}
        past, threads = self._state
        for tallies in (past, *(one for _, one in threads)):
            add(sums, tallies)
        found = [tally.figures(name) for name, tally in sums.items()]
        found.sort(key=lambda one: -(one.seconds + one.waited))
        return Statistics(tuple(found), perf_counter() - self._began)

    def end(self) -> None:
        """Keep what was counted so far for good."""
        self._final = self.statistics()

    # What it hears of

    def _counts(self, name: str) -> Tally:
        """Return the tally of the calling thread to count `name` in."""
        tallies = self._mine.tallies
        if tallies is None:
            tallies = self._register()
        tally = tallies.get(name)
        return tally if tally is not None else tally_of(tallies, name)

    def _register(self) -> Tallies:
        """Make tallies for the calling thread; sum those of threads that have ended."""
        tallies: Tallies = {}
        mine = my_record(), tallies
        while True:
            before = self._state
            past: Tallies = {}
            add(past, before[0])
            alive = []
            for one in before[1]:
                if one[0].dead:
                    add(past, one[1])
                else:
                    alive.append(one)
            after = past, (*alive, mine)
            with self._lock:
                if self._state is before:
                    self._state = after
                    break
        self._mine.tallies = tallies
        return tallies

    def ended(
        self, tx: Transaction, attempt: Attempt, cause: Cause, ref: str | None, end: int
    ) -> None:
        """Count an attempt."""
        tally = self._counts(tx.label)
        tally.spent += end - attempt.start - attempt.waited
        if cause is Cause.COMMITTED:
            tally.commits += 1
            return
        tally.aborts[CAUSE_PLACE[cause]] += 1
        if ref is not None:
            tally.conflict(ref)

    def failed(self, tx: Transaction, attempt: Attempt, cause: Cause) -> None:
        """Count a transaction that has failed."""
        self._counts(tx.label).failures[CAUSE_PLACE[cause]] += 1

    def waited(
        self,
        tx: Transaction,
        attempt: Attempt,
        wait: Wait,
        what: str,
        culprit: int,
        times: tuple[int, int],
    ) -> None:
        """Count a wait."""
        tally = self._counts(tx.label)
        start, end = times
        tally.waited += end - start
        tally.waits[WAIT_PLACE[wait]] += 1
        if wait is Wait.HELD:
            tally.conflict(what)

    def forked(self) -> None:
        """Go on in the child of a fork, where another thread may have had the lock."""
        self._lock = allocate_lock()


class _Open:
    """Those that collect now. Replaced as a whole, under `lock`."""

    __slots__ = ("collected", "lock")

    def __init__(self) -> None:
        self.collected: tuple[Collected, ...] = ()
        self.lock = allocate_lock()


_open = _Open()


def reset_after_fork() -> None:
    """In the child of a fork: the lock may have been held by another thread."""
    _open.lock = allocate_lock()


def _begin() -> Collected:
    collected = Collected()
    with _open.lock:
        _open.collected = (*_open.collected, collected)
    listen(collected)
    return collected


@contextmanager
def collecting() -> Iterator[Collected]:
    """Count the attempts of all transactions, in all threads, inside of a ``with``.

    Off by default: it makes a transaction of one thread that transfers between two refs
    take about a third longer. Set the environment variable ``ATOMOS_STATISTICS=1`` to
    have it on from the start to the end of a program.

    Several may be open at once, each with its own counts.

    Yields:
        An object whose `statistics()` returns what was counted so far, and after the
        end what was counted up to then. Transactions that had begun before, or have
        not ended, are left out.

    Cost: about 900 ns for each attempt (CPython 3.11), and nothing when it has ended.

    Example:
        >>> from atomos import Ref, dosync
        >>> from atomos.stm import collecting
        >>> stock = Ref(3, name="stock")
        >>> @dosync
        ... def sell():
        ...     if stock.alter(lambda n: n - 1) < 0:
        ...         raise ValueError("sold out")
        >>> with collecting() as collected:
        ...     for _ in range(4):
        ...         try:
        ...             sell()
        ...         except ValueError:
        ...             print("sold out")
        sold out
        >>> sales = collected.statistics()["sell"]
        >>> sales.commits, sales.attempts, dict(sales.aborts)
        (3, 4, {'exception': 1})
    """
    collected = _begin()
    try:
        yield collected
    finally:
        unlisten(collected)
        with _open.lock:
            left = tuple(one for one in _open.collected if one is not collected)
            _open.collected = left
        collected.end()


def statistics() -> Statistics:
    """Return what is counted at present: by the `collecting` that was opened last.

    Returns:
        An immutable record of what was counted since that began. Threads that run on
        may be in the middle of counting; the counts are exact when they rest.

    Raises:
        StatisticsOffError: Nobody collects.

    Cost: O(threads times transactions).

    Example:
        >>> from atomos import Ref, atomically
        >>> from atomos.stm import collecting, statistics
        >>> with collecting():
        ...     _ = atomically(Ref(1).alter, lambda n: n + 1)
        ...     statistics().commits
        1
    """
    collected = _open.collected
    if not collected:
        msg = (
            "statistics are not collected: use `with atomos.stm.collecting():` around "
            f"what is to be counted, or set {VARIABLE}=1 before the program starts"
        )
        raise StatisticsOffError(msg)
    return collected[-1].statistics()


def collect_if_asked() -> None:
    """Collect from now on if the environment asks for it.

    Raises:
        ValueError: The variable has a value that is not known.
    """
    asked = os.environ.get(VARIABLE, "")
    if asked not in ("", "0", "1"):
        msg = f"{VARIABLE} must be 0 or 1, not {shown(asked)}"
        raise ValueError(msg)
    if asked == "1":
        _begin()
