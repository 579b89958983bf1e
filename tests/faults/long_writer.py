"""One long transaction against many short ones that change what it has read.

It alters 200 refs and takes 40 milliseconds, during which 8 threads transfer between
the same refs. So it loses each attempt in which it does not hold them. Guarantee 6
says that it may lose 8; the next one holds what it touches, and commits.
"""

from __future__ import annotations

import random
import threading
from time import monotonic, sleep

from helpers import start, until

from atomos import Ref, atomically, dosync
from atomos.stm import _transaction
from faults.aftermath import nothing_left
from faults.campaign import Campaign, Figure, Load, at_least, at_most, none, seen

REFS = 200
#: Seconds that the long transaction takes in the middle of its work.
LONG = 0.04
SHORT_ONES = 8
#: What guarantee 6 allows.
ATTEMPTS = 9


class _Contest:
    """The refs, the long transaction, and the short ones.

    Attributes:
        attempts: Of the long transaction under way.
        short: How many transfers each thread has made.
        worst: The most attempts of one transfer, for each thread.
    """

    def __init__(self, seed: int) -> None:
        self.refs = [Ref(0) for _ in range(REFS)]
        self.attempts = 0
        self.short = [0] * SHORT_ONES
        self.worst = [0] * SHORT_ONES
        self._seed = seed
        self._over = threading.Event()

    def _alter_all(self) -> None:
        self.attempts += 1
        for n, ref in enumerate(self.refs):
            if n == REFS // 2:
                sleep(LONG)
            ref.alter(lambda value: value + 1)

    def write_all(self) -> int:
        """Run the long transaction; return how many attempts it took."""
        self.attempts = 0
        atomically(self._alter_all)
        return self.attempts

    def transfer(self, number: int) -> None:
        """Do what one of the other threads does, until it is over."""
        rng = random.Random(self._seed + number)
        attempts = 0

        @dosync
        def move(source: Ref[int], target: Ref[int]) -> None:
            nonlocal attempts
            attempts += 1
            source.alter(lambda value: value - 1)
            target.alter(lambda value: value + 1)

        while not self._over.is_set():
            attempts = 0
            move(*rng.sample(self.refs, 2))
            self.short[number] += 1
            self.worst[number] = max(self.worst[number], attempts)

    def run(self, load: Load) -> list[tuple[int, float]]:
        """Return attempts and seconds of each long transaction."""
        results: list[tuple[int, float]] = []
        others = [start(self.transfer, number) for number in range(SHORT_ONES)]
        try:
            until(lambda: min(self.short) > 0)
            while load.more(1000 * (monotonic() - load.begun)) or not results:
                begin = monotonic()
                results.append((self.write_all(), monotonic() - begin))
                load.say(f"{len(results):,} commits of the long one")
        finally:
            self._over.set()
        for other in others:
            other.join()
        return results


def run(load: Load) -> list[Figure]:
    """Repeat it for `load.amount` milliseconds at least."""
    contest = _Contest(load.seed)
    results = contest.run(load)
    total = sum(ref.deref() for ref in contest.refs)
    wrong = abs(total - REFS * len(results))
    return [
        at_least("commits of the long one", len(results), 1),
        at_most("most attempts of a long one", max(n for n, _ in results), ATTEMPTS),
        seen("attempts of all long ones", sum(n for n, _ in results)),
        seen("seconds of the slowest one", max(seconds for _, seconds in results)),
        seen("commits of the short ones", sum(contest.short)),
        at_least("fewest commits of one short one", min(contest.short), 1),
        at_most("most attempts of a short one", max(contest.worst), ATTEMPTS),
        none("changes lost or made twice", wrong),
        *nothing_left(contest.refs),
    ]


def late_turn() -> None:
    """One that has lost 8 attempts does not hold what it touches yet."""
    _transaction.ESCALATE_AFTER = 20


CAMPAIGN = Campaign(
    "long-writer",
    "a transaction of 200 refs and 40 ms against 8 threads of short ones, in ms",
    run,
    500,
    60_000,
    (late_turn,),
)
