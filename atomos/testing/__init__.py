"""Tests of concurrent code under schedules that are under control.

Needs the extra ``atomos[testing]``.
"""

from __future__ import annotations

from atomos.testing._errors import (
    DeadlockError,
    NestedRunError,
    NoProgressError,
    StuckError,
)
from atomos.testing._explore import Exploration, explore
from atomos.testing._interleaved import Interleaving, run_interleaved
from atomos.testing._pct import Priorities
from atomos.testing._schedule import Schedule
from atomos.testing._stateful import TransactionalStateMachine, transaction
from atomos.testing._strategies import priorities, schedules
from atomos.testing._table import Step
from atomos.testing._time import now, sleep

__all__ = [
    "DeadlockError",
    "Exploration",
    "Interleaving",
    "NestedRunError",
    "NoProgressError",
    "Priorities",
    "Schedule",
    "Step",
    "StuckError",
    "TransactionalStateMachine",
    "explore",
    "now",
    "priorities",
    "run_interleaved",
    "schedules",
    "sleep",
    "transaction",
]
