"""One transaction sums many refs while threads write them without pause."""

from __future__ import annotations

import threading
from time import monotonic
from typing import TYPE_CHECKING

from atomos import dosync
from benchmarks.banks import START, atomos_bank, draw
from benchmarks.result import Bound, Figure, Row, Unit, Work

if TYPE_CHECKING:
    from atomos import Ref
    from benchmarks.banks import Bank
    from benchmarks.measure import Settings

WRITERS = 2
#: Seconds after which a round is given up in which no writer committed.
PATIENCE = 60


@dosync
def total(refs: list[Ref[int]], commits: list[int], seen: list[int]) -> int:
    """Sum `refs`; append to `seen` the commits before and after, at each attempt."""
    seen.append(sum(commits))
    result = sum(ref.deref() for ref in refs)
    seen.append(sum(commits))
    return result


def write_without_pause(
    bank: Bank, stop: threading.Event, commits: list[int], writer: int
) -> None:
    """Transfer at random until `stop`, counting in ``commits[writer]``."""
    orders = bank.orders(draw(2_000, range(len(bank.accounts)), seed=writer))
    while True:
        for source, target, amount in orders:
            bank.transfer(source, target, amount)
            commits[writer] += 1
            if stop.is_set():
                return


def sum_once(bank: Bank, commits: list[int]) -> tuple[int, int]:
    """Sum while others commit; return attempts, and commits meanwhile."""
    deadline = monotonic() + PATIENCE
    while monotonic() < deadline:
        seen: list[int] = []
        found = total(bank.accounts, commits, seen)
        expected = START * len(bank.accounts)
        assert found == expected, f"the sum is {found} instead of {expected}"
        meanwhile = seen[-1] - seen[0]
        if meanwhile:
            return (len(seen) + 1) // 2, meanwhile
    raise AssertionError("the writers committed nothing during the sums")


def measure_sum(settings: Settings) -> dict[str, Figure]:
    """Count the attempts of a long read."""
    bank = atomos_bank(settings.count(10_000, least=2))
    commits = [0] * WRITERS
    stop = threading.Event()
    threads = [
        threading.Thread(target=write_without_pause, args=(bank, stop, commits, writer))
        for writer in range(WRITERS)
    ]
    for thread in threads:
        thread.start()
    try:
        results = [sum_once(bank, commits) for _ in range(settings.rounds)]
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    bank.check()
    meanwhile = [count for _, count in results]
    words = f"commits of the writers meanwhile: {min(meanwhile):,}..{max(meanwhile):,}"
    return {"sum": Figure([float(attempts) for attempts, _ in results], words)}


WORKS = (
    Work(
        (
            Row(
                "sum",
                "sum of 10,000 refs while 2 threads write them",
                Bound(True, 1, Unit.ATTEMPTS, every_round=True),
            ),
        ),
        measure_sum,
    ),
)
