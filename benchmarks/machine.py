"""Which machine and which interpreter a result is from."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path


def gil_enabled() -> bool:
    """Whether the GIL is on."""
    return bool(getattr(sys, "_is_gil_enabled", lambda: True)())


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def processor() -> str:
    """Return the name of the processor, if it can be found out."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def load() -> str:
    """Return the load average of the last minute."""
    try:
        return f"{os.getloadavg()[0]:.1f}"
    except (AttributeError, OSError):
        return "unknown"


def describe() -> dict[str, str]:
    """Return machine and interpreter, in words."""
    return {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "gil": "on" if gil_enabled() else "off",
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "cores": str(cores()),
        "load before": load(),
    }
