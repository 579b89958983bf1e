"""What the threads of a campaign do to each other: accounts, and a sum that stays.

In each snapshot the sum of all accounts, refs and atoms, is the same, and the two
numbers of a pair are equal. An agent counts what is sent to it.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from queue import SimpleQueue
from random import Random
from threading import Thread
from typing import Any

from atomos import Atom, Ref, atomically, check, dosync, or_else
from atomos.agent import Agent
from atomos.errors import TransactionTimeout

START = 100


class Pool(Executor):
    """One thread, and a queue whose lock no exception from outside can leave held.

    `ThreadPoolExecutor` counts its idle threads with a `Semaphore` written in Python:
    an exception that strikes there leaves it locked, and the pool stands still.
    """

    def __init__(self) -> None:
        self._jobs: SimpleQueue[Any] = SimpleQueue()
        self._thread = Thread(target=self._run, daemon=True, name="pool of a bank")
        self._thread.start()

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        self._jobs.put((fn, args, kwargs))

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            fn, args, kwargs = job
            fn(*args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._jobs.put(None)
        self._thread.join(5.0)


class Customer:
    """One who uses the bank, by all forms; what it has sent is counted.

    Attributes:
        tried: How often it began to send to the agent.
        sent: How often that call has returned.
    """

    def __init__(self, bank: Bank, seed: int) -> None:
        self.bank = bank
        self.random = Random(seed)
        self.tried = self.sent = 0

    def act(self) -> None:
        """Do one thing, chosen at random."""
        self.random.choice(ACTS)(self)

    def _two(self) -> list[Any]:
        return self.random.sample(self.bank.accounts, 2)

    def call(self) -> None:
        atomically(move, *self._two())

    def loop(self) -> None:
        source, target = self._two()
        for tx in dosync():
            with tx:
                move(source, target)
                self.bank.bell.alter(add)

    def block(self) -> None:
        source, target = self._two()
        with dosync():
            move(source, target)

    def parts(self) -> None:
        source, target = self._two()

        @dosync
        def both() -> None:
            move(source, target)
            or_else(lambda: check(len(self.bank.accounts) < 0), lambda: None)
            with dosync():
                move(target, source)

        both()

    def commutes(self) -> None:
        refs = self.random.sample(self.bank.refs, 2)

        @dosync
        def both() -> None:
            refs[0].commute(add, -1)
            refs[1].commute(add, 1)

        both()

    def wait(self) -> None:
        seen = self.bank.bell.deref()
        try:
            dosync(timeout=0.002)(lambda: check(self.bank.bell.deref() != seen))()
        except TransactionTimeout:
            pass

    def swap(self) -> None:
        self.bank.pair.swap(lambda pair: (pair[0] + 1, pair[1] + 1))

    def send(self) -> None:
        self.tried += 1
        self.bank.agent.send(add)
        self.sent += 1

    def send_inside(self) -> None:
        source, target = self._two()
        self.tried += 1

        @dosync
        def both() -> None:
            move(source, target)
            self.bank.agent.send(add)

        both()
        self.sent += 1


ACTS: tuple[Callable[[Customer], None], ...] = (
    Customer.call,
    Customer.loop,
    Customer.block,
    Customer.parts,
    Customer.commutes,
    Customer.wait,
    Customer.swap,
    Customer.send,
    Customer.send_inside,
)


class Bank:
    """The accounts, and what is checked of them.

    Attributes:
        looks: How many snapshots were taken by `wrong`.
    """

    def __init__(self) -> None:
        self.refs = [Ref(START, name=f"ref {n}") for n in range(4)]
        self.atoms = [Atom(START, name=f"atom {n}") for n in range(2)]
        self.accounts: list[Any] = [*self.refs, *self.atoms]
        self.total = START * len(self.accounts)
        self.pair = Atom((0, 0), name="pair")
        self.bell = Ref(0, name="bell")
        self.pool = Pool()
        self.agent = Agent(0, name="counter", executor=self.pool)
        self.looks = 0

    @property
    def cells(self) -> list[Any]:
        return [*self.accounts, self.pair, self.bell]

    def wrong(self) -> bool:
        """Look at one snapshot; return whether anything in it is not as it must be."""
        self.looks += 1
        with dosync(read_only=True):
            total = sum(account.deref() for account in self.accounts)
            one, other = self.pair.deref()
        return total != self.total or one != other

    def miscounted(self, customers: list[Customer]) -> int:
        """Return by how much the agent has run more or less than was sent."""
        self.agent.send(add).wait(30.0)
        ran = self.agent.deref() - 1
        least = sum(customer.sent for customer in customers)
        most = sum(customer.tried for customer in customers)
        return max(0, least - ran, ran - most)


def add(number: int, more: int = 1) -> int:
    return number + more


def move(source: Any, target: Any) -> None:
    """Move one from one account to another one."""
    for account, more in ((source, -1), (target, 1)):
        change = account.alter if isinstance(account, Ref) else account.swap
        change(add, more)
