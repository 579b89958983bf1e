"""Which storage engine a space gets when nobody says."""

from __future__ import annotations

import sys
import sysconfig
from importlib.util import find_spec

__all__ = ["best_engine"]


def best_engine() -> str:
    """Return LMDB where it is installed on Linux, else SQLite.

    Without the GIL SQLite: to import the package lmdb there would bring the GIL back.

    Cost: one look at what is installed.
    """
    if (
        sys.platform == "linux"
        and not sysconfig.get_config_var("Py_GIL_DISABLED")
        and find_spec("lmdb") is not None
    ):
        return "lmdb"
    return "sqlite"
