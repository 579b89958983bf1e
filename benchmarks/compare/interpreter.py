"""Which interpreter this is, and which versions of other packages it has."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
import sysconfig

from benchmarks.peers import OLD_ATOMOS, STM


def tag() -> str:
    """Return the version, with a t if the build is free-threaded: ``3.13t``."""
    free = sysconfig.get_config_var("Py_GIL_DISABLED")
    return f"{sys.version_info[0]}.{sys.version_info[1]}{'t' if free else ''}"


def build() -> str:
    """Return how the interpreter was compiled, as far as it shows in its speed."""
    words = str(sysconfig.get_config_var("CONFIG_ARGS") or "")
    profiled = "with" if "--enable-optimizations" in words else "without"
    linked = "with" if "--with-lto" in words else "without"
    return f"{platform.python_compiler()}, {profiled} PGO, {linked} LTO"


def versions() -> dict[str, str]:
    """Return package -> version, of those that are here."""
    found = dict(name.split("==") for name in (OLD_ATOMOS, STM))
    found["atomos 0.3.1"] = found.pop("atomos")
    for name in ("cereggii", "ft_utils"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            pass
    return found
