"""Up to 200 threads that change one ref.

For each number of threads it is counted how often they commit in some seconds, and
in a second of processor time, which does not depend on what else the machine does.
With the GIL, all of them together may not fall below half of what one thread does
alone. Without it they wait for each other at the one ref, and the figures are only
shown, as in a short run.
"""

from __future__ import annotations

import threading
from time import perf_counter, process_time

from helpers import GIL, start

from atomos import Ref, dosync
from atomos.stm import _commit
from atomos.stm._cell import latest
from atomos.stm._transaction import Transaction
from faults.campaign import Campaign, Figure, Load, at_least, none, seen

COUNTS = (1, 2, 5, 10, 20, 50, 100, 200)
#: Of what one thread does alone, the least that many may do together with the GIL.
HALF = 0.5
#: Milliseconds for each number of threads from which on that is looked at. In less
#: time it counts for too much that the threads begin and end.
ENOUGH = 1000
#: How often a figure that is too low is taken again: the machine may be busy.
TRIES = 3
#: Seconds in which each thread must have begun to work.
PATIENCE = 60.0


class _Crowd:
    """Threads that add to one ref for some seconds.

    Each looks at the time by itself: with the GIL, who would tell them to stop had to
    wait until 200 others have had their turn.

    Attributes:
        done: How often each has committed.
        lost: How many attempts each has lost.
        begun: When they began, and how much processor time had been used then.
    """

    def __init__(self, threads: int, seconds: float) -> None:
        self.ref = Ref(0)
        self.done = [0] * threads
        self.lost = [0] * threads
        self.begun = 0.0, 0.0
        self._seconds = seconds
        self._begin = threading.Barrier(threads, self._start)

    def _start(self) -> None:
        self.begun = perf_counter(), process_time()

    def work(self, number: int) -> None:
        """Do what one thread does; commit once at least."""
        done = attempts = 0

        @dosync
        def add() -> None:
            nonlocal attempts
            attempts += 1
            self.ref.set(self.ref.deref() + 1)

        self._begin.wait(PATIENCE)
        end = self.begun[0] + self._seconds
        while True:
            add()
            done += 1
            if perf_counter() >= end:
                break
        self.done[number], self.lost[number] = done, attempts - done

    def run(self) -> None:
        """Let them work."""
        for job in [start(self.work, number) for number in range(len(self.done))]:
            job.join()


class _Row:
    """What was measured for one number of threads.

    Attributes:
        speed: Commits per second.
        work: Commits per second of processor time.
        lost: Attempts that were lost.
        right: Whether the ref has the sum of what was added.
    """

    def __init__(self, threads: int, seconds: float) -> None:
        crowd = _Crowd(threads, seconds)
        crowd.run()
        done = sum(crowd.done)
        begun, used = crowd.begun
        self.speed = done / (perf_counter() - begun)
        self.work = done / (process_time() - used)
        self.lost = sum(crowd.lost)
        self.right = crowd.ref.deref() == done


def _measured(threads: int, seconds: float, least: float) -> _Row:
    """Measure until `least` is reached, three times at most."""
    rows = []
    while len(rows) < TRIES:
        rows.append(_Row(threads, seconds))
        if rows[-1].work >= least or not rows[-1].right:
            return rows[-1]
    return max(rows, key=lambda row: row.work)


def run(load: Load) -> list[Figure]:
    """Measure each number of threads for `load.amount` milliseconds at least."""
    seconds = max(load.amount / 1000, load.left() / len(COUNTS))
    figures, wrong, least = [], 0, 0.0
    for threads in COUNTS:
        row = _measured(threads, seconds, least)
        wrong += not row.right
        name = f"{threads} thread{'s' * (threads > 1)}"
        load.say(f"{name}: {row.speed:,.0f} commits per second, {row.lost:,} lost")
        work = f"commits in a second of processor time, {name}"
        figures.append(seen(f"commits per second, {name}", round(row.speed)))
        figures.append(at_least(work, round(row.work), round(least)))
        if GIL and threads == 1 and load.amount >= ENOUGH:
            least = HALF * row.work
    figures.append(none("numbers of threads whose commits do not add up", wrong))
    return figures


def overwritten() -> None:
    """Who commits does not see that somebody else has changed the ref meanwhile."""
    before = _commit.publish_one

    def publish_one(tx: Transaction) -> bool:
        cell = tx.writes[0]
        tx.view[cell].older = latest(cell)
        return before(tx)

    _commit.publish_one = publish_one


CAMPAIGN = Campaign(
    "many-threads",
    "1 to 200 threads on one ref, in milliseconds for each number of threads",
    run,
    40,
    10_000,
    (overwritten,),
)
