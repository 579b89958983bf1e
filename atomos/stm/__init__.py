"""The engine: Refs and transactions. The public names are in `atomos`.

Modules with a leading underscore are private. Imports go one way, in the order
_clock, _registry, _status, _cell, _history, _hold, _queue, _owner, _commute,
_transaction, _commit, _runner, _callsite, _fitness, _block, then `ref`.
"""
