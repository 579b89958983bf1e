"""What an attempt is about to write, and how it is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from atomos.stm._causes import Cause

if TYPE_CHECKING:
    from atomos.stm._cell import Cell, Version
    from atomos.stm._commute import Call

__all__ = ["CAUSES", "COMMUTED", "CUT_SHORT", "WAITS", "Lost", "Restart", "Write"]


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


#: The names of these in reports.
CAUSES = {
    Lost.STALE: Cause.STALE,
    Lost.OVERTAKEN: Cause.OVERTAKEN,
    Lost.HISTORY: Cause.HISTORY,
}
#: Why an attempt cannot commit of which only a half of a part was undone.
CUT_SHORT = "an exception from outside came in while a part of it was being undone"
#: Why an attempt that waits cannot commit: it is run again when something has changed
#: that it has read.
WAITS = "retry()"
#: The number of a version that stands for commutes: its value is their list.
COMMUTED = -2


class Write:
    """What a commit knows of one cell that it writes.

    Attributes:
        cell: The cell.
        seen: The version that the attempt read; None if it wrote without reading.
        new: The version to be committed; None until a commute is computed.
        base: The version that `new` displaces; None until it is known.
        calls: Commutes to compute, in order; None if none.
    """

    __slots__ = ("base", "calls", "cell", "new", "seen")

    def __init__(self, cell: Cell[Any], new: Version[Any]) -> None:
        """Take over what the attempt has noted in `new`."""
        self.cell = cell
        self.seen = new.older
        self.base: Version[Any] | None = None
        self.new: Version[Any] | None = None
        self.calls: list[Call] | None = None
        if new.number == COMMUTED:
            self.calls = new.value
        else:
            self.new = new
