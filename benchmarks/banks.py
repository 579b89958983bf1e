"""The transfer between two of many accounts, written in three ways."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from atomos import Ref, dosync
from benchmarks.measure import cpu_clock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from benchmarks.measure import Round

    Transfer = Callable[[Any, Any, int], object]
    #: Numbers of two accounts, and an amount.
    Draw = tuple[int, int, int]
    #: Two accounts and an amount.
    Order = tuple[Any, Any, int]

START = 1_000


@dataclass(frozen=True)
class Bank:
    """Accounts, and how to move money between two of them."""

    accounts: list[Any]
    transfer: Transfer
    balance: Callable[[Any], int]

    def orders(self, draws: Iterable[Draw]) -> list[Order]:
        """Return `draws` with this bank's accounts for their numbers."""
        return [(self.accounts[i], self.accounts[j], n) for i, j, n in draws]

    def check(self) -> None:
        """Raise unless the money is all there."""
        found = sum(self.balance(account) for account in self.accounts)
        expected = START * len(self.accounts)
        if found != expected:
            raise AssertionError(f"the bank has {found} instead of {expected}")


def draw(count: int, accounts: range, seed: int = 1) -> list[Draw]:
    """Return `count` pairs of different accounts with amounts, at random."""
    chance = random.Random(seed)
    drawn: list[Draw] = []
    for _ in range(count):
        source, target = chance.sample(accounts, 2)
        drawn.append((source, target, chance.randint(1, 9)))
    return drawn


def carry_out(transfer: Transfer, orders: list[Order]) -> None:
    """Do all `orders`, one after the other."""
    for source, target, amount in orders:
        transfer(source, target, amount)


def in_one_thread(bank: Bank, draws: list[Draw]) -> Round:
    """Return a round that times `draws` in the calling thread."""
    orders, clock = bank.orders(draws), cpu_clock()

    def one_round() -> float:
        start = clock()
        carry_out(bank.transfer, orders)
        seconds = clock() - start
        bank.check()
        return seconds / len(orders)

    return one_round


# With locks, by hand


class Account:
    """A balance with a lock."""

    def __init__(self, number: int, balance: int) -> None:
        self.number = number
        self.lock = threading.Lock()
        self.balance = balance


def locked_transfer(a: Account, b: Account, n: int) -> None:
    """Move `n` from `a` to `b`, locking the one with the lower number first."""
    if a.number < b.number:
        first, second = a, b
    else:
        first, second = b, a
    with first.lock, second.lock:
        x = a.balance
        y = b.balance
        a.balance = x - n
        b.balance = y + n


def locked_bank(size: int) -> Bank:
    """Return a bank that uses locks."""
    accounts = [Account(number, START) for number in range(size)]
    return Bank(accounts, locked_transfer, lambda account: account.balance)


# With atomos


@dosync
def transfer(a: Ref[int], b: Ref[int], n: int) -> None:
    """Move `n` from `a` to `b`."""
    x = a.deref()
    y = b.deref()
    a.set(x - n)
    b.set(y + n)


def atomos_bank(size: int) -> Bank:
    """Return a bank that uses atomos."""
    return Bank([Ref(START) for _ in range(size)], transfer, Ref.deref)


# With the package stm


def stm_bank(size: int, stm: Any) -> Bank:
    """Return a bank that uses `stm`, the module."""

    def stm_transfer(a: Any, b: Any, n: int) -> None:
        def body() -> None:
            x = a.get()
            y = b.get()
            a.set(x - n)
            b.set(y + n)

        stm.atomically(body)

    accounts = [stm.TVar(START) for _ in range(size)]
    return Bank(accounts, stm_transfer, lambda tvar: int(stm.atomically(tvar.get)))
