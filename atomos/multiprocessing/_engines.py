"""Opening the engine of a space: one for each folder in a process, and counted."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from atomos.errors import SpaceError
from atomos.multiprocessing._lmdb import LmdbEngine
from atomos.multiprocessing._sqlite import SqliteEngine
from atomos.multiprocessing._store import stores

if TYPE_CHECKING:
    from atomos.multiprocessing._engine import Engine

__all__ = ["DEFAULT_SIZE", "open_engine"]

#: The size of the map of LMDB. It costs addresses, and no memory until it is used.
DEFAULT_SIZE = 64 << 30 if sys.maxsize > 2**32 else 256 << 20

_KINDS: dict[str, type[LmdbEngine] | type[SqliteEngine]] = {
    "lmdb": LmdbEngine,
    "sqlite": SqliteEngine,
}


def open_engine(kind: str, folder: str, *, durable: bool, size: int) -> Engine:
    """Open the space in a folder, which must be there.

    If this process has it open, the same engine is returned. It has to be closed
    as often as it was opened.

    Args:
        kind: "sqlite" or "lmdb".
        folder: Where the files of the space are.
        durable: Whether what was committed survives a loss of power.
        size: Up to how many bytes the space may grow.

    Raises:
        SpaceError: It cannot be opened; which kind of error it is says why.
    """
    folder = os.path.realpath(folder)
    make = _KINDS[kind]
    with stores.lock:
        store = stores.open.get(folder)
        if store is None:
            store = stores.open[folder] = make(folder, durable=durable, size=size)
        if not isinstance(store, make):
            raise SpaceError(f"{folder} is open in this process with {store.name}")
        store.opened += 1
        return store
