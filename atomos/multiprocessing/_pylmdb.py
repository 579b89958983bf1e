"""Importing py-lmdb, and letting it tell a forked child from its parent.

It is imported when a space in LMDB is opened, as its import brings the GIL back on a
free-threaded build.

py-lmdb refuses to open a file that this process has open. It keeps the identities of
such files in a set, which a forked child inherits, and then takes the files of the
parent for its own. To close the inherited environment would take them out, but would
end what the parent reads, too. So the function that makes the identities is wrapped: in
any process but the one that imported it, they have the process in them.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

from atomos.errors import SpaceError

__all__ = ["load"]


def load() -> Any:
    """Import py-lmdb, and let it tell a forked child from its parent."""
    try:
        lmdb: Any = import_module("lmdb")
    except ImportError as error:
        msg = "LMDB is not installed: pip install atomos[lmdb], or use SQLite"
        raise SpaceError(msg) from error
    try:
        identity: Any = import_module("lmdb._envid")
        given = identity.env_keys
    except (ImportError, AttributeError):  # another release, which keeps no such notes
        return lmdb
    if not hasattr(given, "of_atomos"):
        first = os.getpid()

        def env_keys(*arguments: Any) -> tuple[Any, ...]:
            keys: tuple[Any, ...] = given(*arguments)
            pid = os.getpid()
            return keys if pid == first else tuple((pid, *key) for key in keys)

        env_keys.of_atomos = True  # type: ignore[attr-defined] # a mark of ours
        identity.env_keys = env_keys
    return lmdb
