"""The contestants with several objects: accounts read and written as one step."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from atomos import Ref, dosync
from benchmarks.banks import (
    START,
    Account,
    Bank,
    atomos_bank,
    locked_bank,
    stm_bank,
)
from benchmarks.compare.contestant import OURS, Ledger
from benchmarks.peers import stm

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


@dosync(read_only=True)
def _total(refs: Sequence[Ref[int]]) -> int:
    return sum([ref.deref() for ref in refs])


def _total_locked(accounts: Sequence[Account]) -> int:
    """Sum while all of `accounts` are locked, taken in the order transfers use."""
    for account in accounts:
        account.lock.acquire()
    try:
        return sum([account.balance for account in accounts])
    finally:
        for account in accounts:
            account.lock.release()


def _global_lock() -> Ledger:
    """Return a ledger with one lock for everything."""
    lock = threading.Lock()

    def transfer(a: Account, b: Account, n: int) -> None:
        with lock:
            x = a.balance
            y = b.balance
            a.balance = x - n
            b.balance = y + n

    def total(accounts: Sequence[Account]) -> int:
        with lock:
            return sum([account.balance for account in accounts])

    def open_bank(size: int) -> Bank:
        accounts = [Account(number, START) for number in range(size)]
        return Bank(accounts, transfer, lambda account: account.balance)

    return Ledger(open_bank, total)


def _stm() -> Ledger:
    module = stm()

    def total(tvars: Sequence[Any]) -> int:
        return int(module.atomically(lambda: sum([tvar.get() for tvar in tvars])))

    return Ledger(lambda size: stm_bank(size, module), total)


LEDGERS: Mapping[str, Callable[[], Ledger]] = {
    OURS: lambda: Ledger(atomos_bank, _total),
    "stm": _stm,
    "ordered locks": lambda: Ledger(locked_bank, _total_locked),
    "global lock": _global_lock,
}
