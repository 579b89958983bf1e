"""Whether the caller is inside of a running transaction."""

from __future__ import annotations

from _thread import get_ident
from typing import TYPE_CHECKING, Any

from atomos.errors import CommuteError
from atomos.stm._commute import TOUCHED, Commuting
from atomos.stm._owner import Asyncio, modules
from atomos.stm._seat import BLOCKS, elsewhere, new_seat, seats
from atomos.stm._turn import FREE

if TYPE_CHECKING:
    from atomos.stm._seat import Seat
    from atomos.stm._transaction import Transaction

__all__ = ["inside"]


def inside() -> Transaction | None:
    """Return the transaction that the caller is inside of, if any.

    Raises:
        CommuteError: The caller is a function given to `commute`.

    Cost: 3 C calls inside of one; 4 where asyncio is imported, more where a loop runs.
    """
    try:
        seat: Seat = seats[get_ident()]
    except KeyError:
        seat = new_seat()
    owner: Any = seat.tx
    if owner is None:
        return None
    # A body may be the first to import asyncio, and run a loop.
    imported = seat.thread.modules if FREE else modules
    if owner is BLOCKS or (
        "asyncio.tasks" in imported
        and (owner.task is not None or Asyncio.running_loop() is not None)
        and not owner.is_here()
    ):
        owner = elsewhere(seat)
        if owner is None:
            return None
    if owner.running:
        return owner  # type: ignore[no-any-return] # nothing else is ever running
    if isinstance(owner, Commuting):
        raise CommuteError(TOUCHED)
    return None
