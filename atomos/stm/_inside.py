"""Whether the caller is inside of a running transaction."""

from __future__ import annotations

from _thread import get_ident
from typing import TYPE_CHECKING

from atomos.errors import CommuteError
from atomos.stm._commute import TOUCHED, Commuting
from atomos.stm._owner import Owner, current, modules
from atomos.stm._turn import FREE

if TYPE_CHECKING:
    from atomos.stm._transaction import Transaction

__all__ = ["inside"]

_current = current.get


def inside() -> Transaction | None:
    """Return the transaction that the caller is inside of, if any.

    Raises:
        CommuteError: The caller is a function given to `commute`.

    Cost: 3 C calls inside of one, more where asyncio is in use.
    """
    seat = _current()
    owner: Owner | None = seat.tx
    if owner is None or (thread := seat.thread).ident != get_ident():
        return None
    # A body may be the first to import asyncio, and run a loop.
    imported = thread.modules if FREE else modules
    if "asyncio.tasks" in imported and not owner.is_here():
        return None
    if owner.running:
        return owner  # type: ignore[return-value] # nothing else is ever running
    if isinstance(owner, Commuting):
        raise CommuteError(TOUCHED)
    return None
