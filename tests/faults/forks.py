"""Forks while other threads commit, and one holds what the child wants.

The child has one thread. What the others were in the middle of is given up there, and
nobody is waited for; in the parent they go on as if nothing had happened.
"""

from __future__ import annotations

import os
import signal
import threading
import warnings
from math import ceil
from time import monotonic
from typing import Any

from atomos import Ref, atomically, dosync
from atomos.agent import Agent
from faults.aftermath import nothing_left
from faults.apart import run_apart
from faults.bank import Bank, Customer, add, move
from faults.breaks import death_is_not_noticed
from faults.campaign import Campaign, Figure, Load, at_least, at_most, none, not_here

COMMITTERS = 4
#: Seconds after which a child is ended.
TOO_LONG = 10
#: What a child has found, by its exit status.
FINE, WRONG, FAILED = 0, 3, 4


class Family:
    """The parent: its threads, and what became of its children.

    Attributes:
        held: What one thread has always in a plain block.
        holding: Set while it does.
        statuses: How the children ended.
        slowest: Seconds from a child's begin to its commit, at most.
        over: The threads are to end.
        errors: What they have raised.
    """

    def __init__(self, load: Load) -> None:
        self.load, self.bank, self.held = load, Bank(), Ref(0, name="held")
        self.holding, self.over = threading.Event(), threading.Event()
        self.customers = [Customer(self.bank, load.seed + n) for n in range(COMMITTERS)]
        self.statuses: list[int] = []
        self.slowest, self.blocks = 0.0, 0
        self.errors: list[BaseException] = []

    def run(self) -> None:
        fns = [self._hold, *(self._committer(one) for one in self.customers)]
        threads = [threading.Thread(target=self._safely, args=(fn,)) for fn in fns]
        for thread in threads:
            thread.start()
        while self.load.more(len(self.statuses)) and not self.errors:
            self.holding.wait(5.0)
            self._fork()
            if len(self.statuses) % 20 == 0:
                self.load.say(f"{len(self.statuses):,} forks")
        self.over.set()
        for thread in threads:
            thread.join(10.0)

    def _safely(self, fn: Any) -> None:
        try:
            fn()
        except BaseException as error:
            self.errors.append(error)

    def _committer(self, customer: Customer) -> Any:
        def commit() -> None:
            while not self.over.is_set():
                customer.act()

        return commit

    def _hold(self) -> None:
        """Hold a ref nearly always, each time until a child is gone."""
        while not self.over.is_set():
            before = len(self.statuses)
            with dosync():
                self.held.alter(add)
                self.holding.set()  # cleared by who forks
                while len(self.statuses) == before and not self.over.is_set():
                    self.over.wait(0.001)
            self.blocks += 1

    def _fork(self) -> None:
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            status = FAILED
            try:
                signal.alarm(ceil(min(TOO_LONG, self.load.patience)))
                status = self._be_a_child(writer)
            finally:
                os._exit(status)
        os.close(writer)
        with open(reader, encoding="ascii") as told:
            self.slowest = max(self.slowest, float(told.read() or TOO_LONG))
        self.holding.clear()
        self.statuses.append(os.waitpid(pid, 0)[1])

    def _be_a_child(self, writer: int) -> int:
        """Look, and write all there is, in all ways."""
        begun, bank = monotonic(), self.bank
        wrong = bank.wrong()
        atomically(self.held.set, -1)
        with dosync():
            for account in bank.accounts:
                move(account, bank.refs[0])
        bank.pair.swap(lambda pair: (pair[0] + 1, pair[1] + 1))
        seconds = monotonic() - begun
        wrong = wrong or bank.wrong() or self.held.deref() != -1
        wrong = wrong or threading.active_count() > 1
        agent = Agent(0)
        agent.send(add).wait(TOO_LONG)
        wrong = wrong or agent.deref() != 1
        os.write(writer, str(seconds).encode())
        return WRONG if wrong else FINE


def fork(load: Load) -> list[Figure]:
    """Do it in this process."""
    warnings.simplefilter("ignore", DeprecationWarning)  # of forks with threads
    family = Family(load)
    family.run()
    bank, statuses = family.bank, family.statuses
    wrong = sum(os.waitstatus_to_exitcode(one) == WRONG for one in statuses)
    found = [
        at_least("forks", len(statuses), load.amount),
        none("children that saw or made a wrong state", wrong),
        none("children that failed or stood still", sum(map(bool, statuses)) - wrong),
        at_most("seconds to the commit of a child", family.slowest, load.slack),
        none("wrong states in the parent", int(bank.wrong())),
        none("lost commits of the block", family.blocks - family.held.deref()),
        none("threads of the parent that failed", len(family.errors)),
        none("sends run twice, or lost", bank.miscounted(family.customers)),
        *nothing_left([*bank.cells, family.held]),
    ]
    bank.pool.shutdown()
    return found


def run(load: Load) -> list[Figure]:
    """Fork `load.amount` times."""
    if not hasattr(os, "fork"):
        return not_here("there is no fork")
    return run_apart(fork, load)


CAMPAIGN = Campaign(
    "forks",
    "forks while four threads commit and one holds a block",
    run,
    8,
    200,
    (death_is_not_noticed,),
)
