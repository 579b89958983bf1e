"""What a contestant gives, so that the same workload runs with each of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.banks import Bank

OURS = "atomos"
#: What needs nothing but this library and Python.
OWN = (
    OURS,
    "atomos Atom",
    "atomos AtomicInteger",
    "atomos LongAdder",
    "lock",
    "ordered locks",
    "global lock",
    "object with a lock",
)
NOT_WANTED = "peer not wanted"


@dataclass(frozen=True)
class Single:
    """One object that several threads change.

    Attributes:
        make: Returns a new one that holds 0.
        add: Adds 1 to it, so many times. The loop is part of it, so that each
            contestant writes the operation as its users would.
        read: Returns what it holds.
    """

    make: Callable[[], Any]
    add: Callable[[Any, int], object]
    read: Callable[[Any], int]


@dataclass(frozen=True)
class Ledger:
    """Accounts, of which several are read or written as one step.

    Attributes:
        open: Returns a bank with so many accounts.
        total: Returns the sum of accounts, given in the order of their making, as it
            was at one point in time.
    """

    open: Callable[[int], Bank]
    total: Callable[[Sequence[Any]], int]
