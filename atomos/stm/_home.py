"""Cells whose values live elsewhere: in a space that processes share.

A cell with a home has no versions here. Its `_newest` is `NOWHERE`, whose number no
read point and no test for a settled version accepts, so each way of the engine that
is meant for values in memory leaves such a cell to the long way; and the long way asks
whether it has a home. So cells without one pay for this in the long ways only.

An attempt that touches a cell with a home becomes a guest there. It has been one from
the start then: it has touched no other cell before, and touches none of another home
after that (`MixedSpacesError`). Its read point is `ELSEWHERE`, below the number of
each version, so that it cannot read what is in memory unnoticed. The home gives it a
`Guest`, which reads in a snapshot of the home and commits there; what the attempt has
seen and written lies in its view as always, so parts, alternatives and hooks are the
same for both.

Cells and versions have no types here: `_cell` comes later, and names `Home`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from atomos.errors import MixedSpacesError

if TYPE_CHECKING:
    from collections.abc import Callable

    from atomos.stm._status import Patience

__all__ = ["ELSEWHERE", "KEEP", "Guest", "Home", "mixed"]

#: The read point of an attempt that is a guest.
ELSEWHERE: Final = -1


class KEEP:
    """What a change answers to leave the value as it is."""


class Guest(Protocol):
    """An attempt at its home."""

    @property
    def home(self) -> Home:
        """Whose guest it is."""

    def arrive(self) -> None:
        """Take a snapshot, or the queue of those who write if the attempt holds.

        Raises:
            TransactionTimeout: The deadline passed before its turn came.
        """

    def look(self, cell: Any) -> Any:
        """Return the version that the attempt sees; its number is above 0."""

    def commit(self) -> list[tuple[Any, Any, Any]]:
        """Commit what is in the view of the attempt, as `commit` does, and leave."""

    def leave(self) -> None:
        """Let go of all that was taken; nothing happens the second time."""


class Home(Protocol):
    """Where cells live whose values are not in this process."""

    def newest(self, cell: Any) -> Any:
        """Return the version committed last; its number is above 0."""

    def change(
        self, cell: Any, fn: Callable[[Any], Any], quick: bool
    ) -> tuple[Any, Any]:
        """Let the value become ``fn(value)`` in a transaction of its own.

        Args:
            cell: One that lives here.
            fn: May be called again if somebody else was faster; may answer `KEEP`.
            quick: It calls nothing that is the user's.

        Returns:
            The value before, and what `fn` has made of it.
        """

    def guest(self, tx: Any) -> Guest:
        """Return the guest for a running attempt; it has taken nothing yet."""

    def sleep(self, run: Patience, awaited: list[tuple[Any, Any]]) -> bool:
        """Sleep until one of the cells has another version than was seen.

        Returns:
            False if the deadline of `run` has passed first.
        """


def mixed(label: str, one: Any, home: Home | None) -> MixedSpacesError:
    """Return what tells that a transaction has met a second home.

    Args:
        label: What messages call the transaction.
        one: The cell that it may not touch.
        home: Where it is a guest; None if it has touched refs of this process.
    """
    here = "this process alone" if one._home is None else f"{one._home!r}"
    there = "refs of this process alone" if home is None else f"{home!r}"
    return MixedSpacesError(
        f"{one._label()} lives in {here}, but {label} has used {there}: a transaction "
        "takes one step in one place. Keep what belongs together in one space, or read "
        "the other value before the transaction begins"
    )
