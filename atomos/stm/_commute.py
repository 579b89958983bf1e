"""Running a function given to `commute`.

It may run at another time than its transaction, and more than once, so it may
use nothing but its arguments. While it runs, a sentinel stands in for the
current transaction, and any ref, atom or atomic that it touches raises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from atomos.stm._owner import Owner
from atomos.stm._seat import BLOCKS, new_seat, seated, seats
from atomos.stm._turn import FREE

__all__ = ["TOUCHED", "Call", "Commuting", "compute"]

T = TypeVar("T")

#: A function and what it gets after the value.
Call = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]

TOUCHED = (
    "a function given to commute() touched a ref, an atom or an atomic; it may be "
    "run at another time than its transaction, so it may use its arguments only: "
    "use alter() instead"
)


class Commuting(Owner):
    """Stands in for the transaction while a commute's function runs."""

    __slots__ = ()


def compute(value: T, calls: Iterable[Call]) -> T:
    """Return what `calls`, one after the other, make of `value`.

    Raises:
        CommuteError: A function touched a ref, an atom or an atomic.
        BaseException: Whatever a function raised.
    """
    sentinel = Commuting()
    sentinel.own()
    sentinel.running = False
    seat = seats.get(sentinel.ident) or new_seat()
    before = seat.tx
    try:
        if not FREE:
            seated[seat] = None
        seat.tx = sentinel
        for fn, args, kwargs in calls:
            value = fn(value, *args, **kwargs)
    finally:
        seat.tx = before
        if (before is None or before is BLOCKS) and not FREE:
            seated.pop(seat, None)
    return value
