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
from atomos.testing._history import History
from atomos.testing._interleaved import Interleaving, run_interleaved
from atomos.testing._linearizable import Model, check_linearizable
from atomos.testing._pct import Priorities
from atomos.testing._schedule import Schedule
from atomos.testing._serializable import check_serializable, check_snapshot_isolation
from atomos.testing._stateful import TransactionalStateMachine, transaction
from atomos.testing._strategies import priorities, schedules
from atomos.testing._table import Step
from atomos.testing._time import now, sleep

__all__ = [
    "DeadlockError",
    "Exploration",
    "History",
    "Interleaving",
    "Model",
    "NestedRunError",
    "NoProgressError",
    "Priorities",
    "Schedule",
    "Step",
    "StuckError",
    "TransactionalStateMachine",
    "check_linearizable",
    "check_serializable",
    "check_snapshot_isolation",
    "explore",
    "now",
    "priorities",
    "run_interleaved",
    "schedules",
    "sleep",
    "transaction",
]
