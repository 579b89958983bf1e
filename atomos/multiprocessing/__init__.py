"""Atomics, Atoms and Refs that processes share, and transactions over them.

They are made, passed to other processes and used as between threads. `dosync`, `retry`
and all else are those of `atomos`.

Modules with a leading underscore are private. Imports go one way, each module from
those before it::

    _engine _forks _faults _page _porter _queue _bells _store _pylmdb _lmdb _calls
    _connections _sqlite _engines _codec _seen _guest _listener _home _folder _choice
    _homes _anonymous _cells _ref _typed _named

then `atom` and `atomic`, then::

    _space _open _commit_id

Example:
    >>> from atomos.multiprocessing import AtomicInteger, Ref, dosync
    >>> hits, accounts = AtomicInteger(), [Ref(100) for _ in range(2)]
    >>> @dosync
    ... def transfer(amount):
    ...     accounts[0].alter(lambda balance: balance - amount)
    ...     accounts[1].alter(lambda balance: balance + amount)
    ...     return hits.increment_and_get()
    >>> transfer(30)
    1
    >>> accounts
    [Ref(70), Ref(130)]
"""

from __future__ import annotations

import sys as _sys

if _sys.platform == "win32":
    raise ImportError(
        "atomos.multiprocessing needs locks of files that Windows does not have: use "
        "atomos between the threads of one process there"
    )

from atomos import (
    TransactionLocal,
    atomically,
    check,
    current_transaction,
    dosync,
    no_transaction,
    or_else,
    outside,
    retry,
)
from atomos.multiprocessing import atom, atomic
from atomos.multiprocessing._commit_id import commit_id
from atomos.multiprocessing._open import open_space as open
from atomos.multiprocessing._ref import Ref
from atomos.multiprocessing._space import Space
from atomos.multiprocessing.atom import Atom
from atomos.multiprocessing.atomic import (
    AtomicBoolean,
    AtomicCtypesReference,
    AtomicFloat,
    AtomicInteger,
    AtomicLong,
    AtomicNumber,
    AtomicReference,
)

__all__ = [
    "Atom",
    "AtomicBoolean",
    "AtomicCtypesReference",
    "AtomicFloat",
    "AtomicInteger",
    "AtomicLong",
    "AtomicNumber",
    "AtomicReference",
    "Ref",
    "Space",
    "TransactionLocal",
    "atom",
    "atomic",
    "atomically",
    "check",
    "commit_id",
    "current_transaction",
    "dosync",
    "no_transaction",
    "open",
    "or_else",
    "outside",
    "retry",
]
