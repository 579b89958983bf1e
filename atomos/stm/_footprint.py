"""What an attempt has touched, and how it is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from atomos.stm._cell import Cell, Version
    from atomos.stm._commute import Call

__all__ = ["Entry", "Lost", "Restart"]


class Restart(BaseException):
    """This attempt is doomed; the runner makes another one.

    Derived from `BaseException` so that ``except Exception`` in a body does
    not keep it; if a body swallows it all the same, the attempt stays doomed.
    """


class Lost:
    """Why an attempt was lost: the causes of conflict, in words."""

    STALE = "{} was changed by another transaction after it was read here"
    OVERTAKEN = "{} was written by another transaction after this snapshot was taken"
    HISTORY = "the version of {} that this snapshot needs was dropped by max_history"


class Entry:
    """What an attempt knows of one cell. Made without `__init__`, for speed.

    Attributes:
        cell: The cell.
        seen: The version read first; None if never read.
        new: The version to be committed; None if not written.
        base: The version that `new` displaces; set while committing.
        calls: Commutes to compute at the commit, in order; None if none.
        ensured: Named by `ensure`, so validated at every isolation.
    """

    __slots__ = ("base", "calls", "cell", "ensured", "new", "seen")

    cell: Cell[Any]
    seen: Version[Any] | None
    new: Version[Any] | None
    base: Version[Any] | None
    calls: list[Call] | None
    ensured: bool
