"""Shared mutable state made safe: Refs, transactions, Atoms and atomics.

Example:
    >>> from atomos import Ref, dosync
    >>> checking, savings = Ref(100), Ref(0)
    >>> @dosync
    ... def transfer(amount):
    ...     checking.alter(lambda balance: balance - amount)
    ...     return savings.alter(lambda balance: balance + amount)
    >>> transfer(30)
    30
    >>> checking, savings
    (Ref(70), Ref(30))
"""

from __future__ import annotations

import os as _os

from atomos.atom import Atom
from atomos.atomic import (
    AtomicBoolean,
    AtomicFloat,
    AtomicInteger,
    AtomicIntegerArray,
    AtomicLong,
    AtomicMarkableReference,
    AtomicNumber,
    AtomicReference,
    AtomicReferenceArray,
    AtomicStampedReference,
    LongAccumulator,
    LongAdder,
)
from atomos.reference import ARef
from atomos.stm import _fork as _fork  # registers what a fork needs
from atomos.stm._alternatives import or_else
from atomos.stm._dosync import atomically, dosync
from atomos.stm._effects import no_transaction
from atomos.stm._handle import current_transaction
from atomos.stm._local import TransactionLocal
from atomos.stm._outside import outside
from atomos.stm._retry import check, retry
from atomos.stm._statistics import collect_if_asked
from atomos.stm.ref import Ref

__version__ = "1.0.0.dev0"

__all__ = [
    "ARef",
    "Atom",
    "AtomicBoolean",
    "AtomicFloat",
    "AtomicInteger",
    "AtomicIntegerArray",
    "AtomicLong",
    "AtomicMarkableReference",
    "AtomicNumber",
    "AtomicReference",
    "AtomicReferenceArray",
    "AtomicStampedReference",
    "LongAccumulator",
    "LongAdder",
    "Ref",
    "TransactionLocal",
    "atomically",
    "check",
    "current_transaction",
    "dosync",
    "no_transaction",
    "or_else",
    "outside",
    "retry",
]

# Last: what it wraps must have been imported by then.
collect_if_asked()
# Imported only where it is asked for, so that nobody else pays for it; and here, since
# it is built on all of the above.
if _os.environ.get("ATOMOS_DEBUG"):
    from atomos import debug as _debugging

    _debugging._enable_as_asked(_os.environ["ATOMOS_DEBUG"])
