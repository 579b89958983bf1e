"""The engine: Refs and transactions. Their public names are in `atomos`.

Here are those for seeing it run: `statistics` and `trace`.

Modules with a leading underscore are private. Imports go one way, each module
from those before it::

    _seams _gate _causes _figures _account _arguments _fitness _turn _registry
    _clock _snapshots _status _owner _seat _home _cell _operations _history _hold
    _queue _commute _run _footprint _journal _wait _transaction _inside _part
    _handle _publish _commit _runner _solo _scope _flow _callsite _block _dosync
    _outside _effects _local _retry _alternatives _waited _attempts _hearing
    _tallies _statistics _tracefile _arrows _rows _trace _fork

then `ref`, which builds on `ARef`.
"""

from __future__ import annotations

from atomos.stm._causes import Cause, Wait
from atomos.stm._figures import Statistics, TransactionStatistics
from atomos.stm._statistics import (
    Collected,
    collecting,
    statistics,
)
from atomos.stm._trace import trace

__all__ = [
    "Cause",
    "Collected",
    "Statistics",
    "TransactionStatistics",
    "Wait",
    "collecting",
    "statistics",
    "trace",
]
