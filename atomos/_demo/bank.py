"""A bank whose threads get in each other's way, to be looked at by `top`."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import TYPE_CHECKING

from atomos import Ref, check, dosync
from atomos.errors import TransactionTimeout

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Bank", "at_work"]

ACCOUNTS, START = 8, 100
#: How the names of the threads begin.
NAME = "atomos-top"
#: Seconds for which a customer waits for money.
PATIENCE = 0.01


class Bank:
    """A few accounts, and a total that each transfer changes, which makes it hot."""

    def __init__(self) -> None:
        """Open the accounts."""
        self.accounts = [Ref(START, name=f"account {n}") for n in range(ACCOUNTS)]
        self.moved = Ref(0, name="moved in all")

    def serve(self, number: int) -> None:
        """Do what the customer with that number wants."""
        one, other = random.sample(self.accounts, 2)
        if number % 50 == 0:
            self.pay_interest()
        elif number % 10 == 0:
            self.audit()
        elif number % 10 == 5:
            try:
                self.withdraw(one, 2 * START)
            except TransactionTimeout:
                pass  # nobody has paid in enough
        else:
            self.transfer(one, other, random.randrange(1, START))

    @dosync(name="transfer")
    def transfer(self, one: Ref[int], other: Ref[int], amount: int) -> None:
        """Move money, and count it."""
        moved = self.moved.deref()
        one.alter(lambda balance: balance - amount)
        other.alter(lambda balance: balance + amount)
        self.moved.set(moved + amount)

    @dosync(name="audit", read_only=True)
    def audit(self) -> int:
        """Return the sum of all accounts."""
        return sum(account.deref() for account in self.accounts)

    @dosync(name="withdraw", timeout=PATIENCE)
    def withdraw(self, account: Ref[int], amount: int) -> None:
        """Wait until there is enough, and give it to the next account."""
        check(account.deref() >= amount)
        account.alter(lambda balance: balance - amount)
        following = self.accounts[self.accounts.index(account) - 1]
        following.alter(lambda balance: balance + amount)

    def pay_interest(self) -> None:
        """Give one to each account and take it from the first, in a plain block."""
        with dosync(name="interest"):
            for account in self.accounts:
                account.alter(lambda balance: balance + 1)
            self.accounts[0].alter(lambda balance: balance - ACCOUNTS)


@contextmanager
def at_work(bank: Bank, threads: int) -> Iterator[None]:
    """Have so many threads serve customers of `bank` inside of a ``with``.

    Raises:
        Exception: What one of them has raised.
    """
    stop = threading.Event()

    def work(first: int) -> None:
        number = first
        while not stop.is_set():
            bank.serve(number)
            number += 1

    with ThreadPoolExecutor(threads, thread_name_prefix=NAME) as pool:
        try:
            workers = [pool.submit(work, 7 * n) for n in range(threads)]
            yield
        finally:
            stop.set()
    for ended in wait(workers).done:
        ended.result()
