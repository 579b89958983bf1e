"""Ways to break the engine that more than one campaign must show."""

from __future__ import annotations

from atomos.stm import _status


def death_is_not_noticed() -> None:
    """What a thread held that has ended is held for good."""
    _status.Status.gone = lambda self: self.number != 0
