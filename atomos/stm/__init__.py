"""The engine: Refs and transactions. The public names are in `atomos`.

Modules with a leading underscore are private. Imports go one way, each module
from those before it::

    _seams _arguments _fitness _turn _registry _clock _snapshots _status _owner _seat
    _cell _operations _history _hold _queue _commute _run _footprint _journal _wait
    _transaction _inside _part _handle _publish _commit _runner _solo _scope _flow
    _callsite _block _dosync _outside _effects _local _retry _alternatives _waited
    _fork, then `ref`, which builds on `ARef`
"""
