"""The workloads. Each checks that no operation was lost and no sum was torn."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from time import sleep
from typing import TYPE_CHECKING, Any

from benchmarks.banks import START, carry_out, draw
from benchmarks.compare.atomics import COUNTERS, SWAPS
from benchmarks.compare.period import Worker
from benchmarks.compare.transactions import LEDGERS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from benchmarks.banks import Bank
    from benchmarks.compare.contestant import Ledger, Single

THREADS = (1, 2, 4, 8)
#: Operations between two looks at the clock: of atomics, and of transactions.
CALLS, TRANSFERS = 500, 50
#: Accounts of a transfer, and of a long reader.
FEW, MANY = 100, 10_000
#: Accounts that are read together by most of the read-mostly workload.
GROUP = 10
#: Seconds the auditor waits between two sums.
PAUSE = 0.001


@dataclass(frozen=True)
class Trial:
    """One run of a workload with one contestant.

    Attributes:
        workers: What the threads do.
        check: Raises AssertionError if what they left behind is wrong.
    """

    workers: Sequence[Worker]
    check: Callable[[], None]


@dataclass(frozen=True)
class Workload:
    """What is done, and by whom it can be done.

    Attributes:
        key: What `--only`, the stored results and the Clojure program call it.
        title: What it is, in words.
        operations: What is timed; the first one is drawn.
        contestants: Name -> returns what `prepare` needs, or raises PeerError.
        prepare: Returns a trial for so many threads.
        periods: How many periods a trial lasts: more where an operation is long.
    """

    key: str
    title: str
    operations: Sequence[str]
    contestants: Mapping[str, Callable[[], Any]]
    prepare: Callable[[Any, int], Trial]
    periods: int = 1


def _must_be(expected: int, found: int, what: str) -> None:
    if found != expected:
        raise AssertionError(f"{what} is {found} instead of {expected}")


# One object


def _adding(single: Single, thing: Any) -> int:
    single.add(thing, CALLS)
    return CALLS


def _count(single: Single, threads: int, *, shared: bool) -> Trial:
    things = [single.make() for _ in range(1 if shared else threads)]
    workers = [
        Worker("addition", partial(_adding, single, thing))
        for thing in (things * threads if shared else things)
    ]

    def check() -> None:
        found = sum(single.read(thing) for thing in things)
        _must_be(sum(worker.done for worker in workers), found, "the count")

    return Trial(workers, check)


# Several objects


def _writer(bank: Bank, seed: int) -> Worker:
    """Return one who transfers between accounts of `bank` at random."""
    orders = bank.orders(draw(20 * TRANSFERS, range(len(bank.accounts)), seed))
    parts = cycle(
        orders[at : at + TRANSFERS] for at in range(0, len(orders), TRANSFERS)
    )

    def step() -> int:
        carry_out(bank.transfer, next(parts))
        return TRANSFERS

    return Worker("transfer", step)


def _reader(ledger: Ledger, bank: Bank, operation: str, pause: float = 0) -> Worker:
    """Return one who sums all accounts of `bank`, and checks the sum."""

    def step() -> int:
        _must_be(START * len(bank.accounts), ledger.total(bank.accounts), "a sum")
        if pause:
            sleep(pause)
        return 1

    return Worker(operation, step)


def _transfer(ledger: Ledger, threads: int) -> Trial:
    bank = ledger.open(FEW)
    workers = [_writer(bank, seed) for seed in range(threads)]
    return Trial([*workers, _reader(ledger, bank, "audit", PAUSE)], bank.check)


def _long_reader(ledger: Ledger, threads: int) -> Trial:
    bank = ledger.open(MANY)
    workers = [_writer(bank, seed) for seed in range(threads)]
    return Trial([_reader(ledger, bank, "sum"), *workers], bank.check)


def _hot(ledger: Ledger, threads: int) -> Trial:
    bank = ledger.open(threads + 1)
    hot, *own = bank.accounts

    def pay(account: Any) -> int:
        carry_out(bank.transfer, [(hot, account, 1)] * TRANSFERS)
        return TRANSFERS

    workers = [Worker("transfer", partial(pay, account)) for account in own]

    def check() -> None:
        bank.check()
        done = sum(worker.done for worker in workers)
        _must_be(START - done, bank.balance(hot), "the hot account")

    return Trial(workers, check)


def _read_mostly(ledger: Ledger, threads: int) -> Trial:
    bank = ledger.open(FEW)

    def one(seed: int) -> Worker:
        chance = random.Random(seed)
        groups = range(0, FEW, GROUP)

        def plan() -> list[tuple[int, bool]]:
            writes = [at < 2 for at in range(20)]
            chance.shuffle(writes)
            return [(chance.choice(groups), write) for write in writes]

        plans = cycle([plan() for _ in range(20)])

        def step() -> int:
            for at, write in next(plans):
                accounts = bank.accounts[at : at + GROUP]
                if write:
                    bank.transfer(accounts[0], accounts[-1], 1)
                else:
                    _must_be(START * GROUP, ledger.total(accounts), "a sum")
            return 20

        return Worker("operation", step)

    return Trial([one(seed) for seed in range(threads)], bank.check)


WORKLOADS = (
    Workload(
        "counter-shared",
        "one counter for all threads",
        ["addition"],
        COUNTERS,
        partial(_count, shared=True),
    ),
    Workload(
        "counter-own",
        "a counter for each thread",
        ["addition"],
        COUNTERS,
        partial(_count, shared=False),
    ),
    Workload(
        "swap",
        "a function applied to one shared value",
        ["addition"],
        SWAPS,
        partial(_count, shared=True),
    ),
    Workload(
        "transfer",
        "transfers between 100 accounts, with an auditor",
        ["transfer", "audit"],
        LEDGERS,
        _transfer,
    ),
    Workload(
        "read-mostly",
        "90 % read 10 refs, 10 % write 2",
        ["operation"],
        LEDGERS,
        _read_mostly,
    ),
    Workload("hot", "one ref that all threads write", ["transfer"], LEDGERS, _hot),
    Workload(
        "long-reader",
        "a sum of 10,000 refs while threads write them",
        ["sum", "transfer"],
        LEDGERS,
        _long_reader,
        periods=3,
    ),
)
