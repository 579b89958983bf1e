"""Sleeping until a cell changes, and waking who sleeps.

Who sleeps stands in a dict on each of the cells that it waits for; a cell that nobody
waits for has None. A commit looks at that slot after it has happened, and opens the
gate of each sleeper.

No wake-up is lost. A sleeper

1. enters itself in all of the cells,
2. takes a turn at the clock,
3. looks whether each cell still has the version that was seen, and
4. sleeps.

A commit takes a turn, too, and then looks who sleeps. If its turn comes before that of
the sleeper, the sleeper sees its version in step 3. If it comes after that, the commit
sees the sleeper. Without the GIL the turn is a lock, so this holds there as well.

A dict is put on a cell and taken off it with the turn, and only an empty one is taken
off. Who enters itself in a dict looks afterwards, with the turn, that it is still the
cell's. So nobody is entered in a dict that no commit looks at.

To be woken for nothing does no harm: the attempt is made again, and sleeps again. So an
exception from outside that hits a commit before it has woken the others is answered by
waking them from where it is caught. A sleeper that was cut short may stay entered; the
next commit takes it out.
"""

from __future__ import annotations

from _thread import allocate_lock
from time import monotonic
from typing import TYPE_CHECKING, Any

from atomos.errors import TransactionTimeout
from atomos.stm._cell import latest
from atomos.stm._gate import pass_gate
from atomos.stm._turn import FREE, NEVER_ENDS, clock, release, turns

if TYPE_CHECKING:
    from _thread import LockType
    from collections.abc import Iterable

    from atomos.stm._cell import Cell, Version
    from atomos.stm._run import Run

__all__ = ["Awaited", "sleep", "wake", "wake_all"]

#: Cells, and of each the version that was seen.
Awaited = list[tuple["Cell[Any]", "Version[Any]"]]
#: How many refs a message names.
NAMED = 5


class Sleeper:
    """A thread that sleeps, or is about to.

    Attributes:
        gate: Locked until it is woken.
    """

    __slots__ = ("gate",)

    def __init__(self) -> None:
        self.gate: LockType = allocate_lock()
        self.gate.acquire()

    def wake(self) -> None:
        """Open the gate, if nobody has."""
        try:
            self.gate.release()
        except RuntimeError:
            pass


def _put(cell: Cell[Any], before: object, after: dict[Sleeper, None] | None) -> bool:
    """Replace the dict of a cell, if it is `before` and may go."""
    for number in turns:
        try:
            done = cell._sleepers is before and (after is not None or not before)
            if done:
                cell._sleepers = after
        finally:
            clock.done = number
            if FREE:
                release()
        return done
    raise AssertionError(NEVER_ENDS)


def _enter(cell: Cell[Any], sleeper: Sleeper) -> None:
    """Enter `sleeper` in a dict of `cell` that commits look at."""
    while True:
        sleepers = cell._sleepers
        if sleepers is None:
            if _put(cell, None, {sleeper: None}):
                return
        else:
            sleepers[sleeper] = None
            if _put(cell, sleepers, sleepers):
                return


def _leave(cell: Cell[Any], sleeper: Sleeper) -> None:
    """Take `sleeper` out; the last one takes the dict off the cell."""
    sleepers = cell._sleepers
    if sleepers is not None:
        sleepers.pop(sleeper, None)
        if not sleepers:
            _put(cell, sleepers, None)


def wake(cell: Cell[Any]) -> None:
    """Wake all who wait for `cell`, which has changed. Called outside every lock.

    Cost: one load while nobody waits.
    """
    sleepers = cell._sleepers
    if sleepers is not None:
        for sleeper in list(sleepers):
            sleeper.wake()
            _leave(cell, sleeper)


def wake_all(cells: Iterable[Cell[Any]]) -> None:
    """Wake all who wait for one of `cells`."""
    for cell in cells:
        if cell._sleepers is not None:
            wake(cell)


def sleep(run: Run, awaited: Awaited) -> None:
    """Sleep until one of the cells has another version than was seen.

    Raises:
        TransactionTimeout: The deadline of `run` passed first.

    Cost: O(cells), two turns for each.
    """
    home = awaited[0][0]._home
    if home is not None:
        if not home.sleep(run, awaited):
            raise _waited_in_vain(run, awaited)
        return
    sleeper = Sleeper()
    try:
        for cell, _ in awaited:
            _enter(cell, sleeper)
        if all(latest(cell) is version for cell, version in awaited):
            _sleep(run, sleeper, awaited)
    finally:
        for cell, _ in awaited:
            _leave(cell, sleeper)


def _sleep(run: Run, sleeper: Sleeper, awaited: Awaited) -> None:
    """Wait at the gate."""
    if run.deadline is None:
        pass_gate(sleeper.gate)
        return
    seconds = run.deadline - monotonic()
    if seconds <= 0 or not pass_gate(sleeper.gate, seconds):
        raise _waited_in_vain(run, awaited)


def _waited_in_vain(run: Run, awaited: Awaited) -> TransactionTimeout:
    """Return the error that says that nothing has changed within the timeout."""
    names = [cell._label() for cell, _ in awaited[:NAMED]]
    if len(awaited) > NAMED:
        names.append(f"{len(awaited) - NAMED} more")
    cause = f"retry(), waiting for a change of {', '.join(names)}"
    msg = (
        f"{run.label} did not commit within its timeout, attempt {run.attempts}: "
        f"it called {cause}. Raise the timeout, or see to it that somebody changes "
        "what it waits for"
    )
    return run.with_account(TransactionTimeout(msg, run.attempts, cause))
