"""In which order transactions have committed.

A transaction that writes has the number of its commit at the version clock. One that
only reads has seen the commits up to its read point, and no later ones, so it comes
right after the one with that number. A plain block that only reads has no read point,
but holds what it has read until it ends: it comes after the last commit before that.
"""

from __future__ import annotations

from _thread import get_ident
from typing import TYPE_CHECKING, Any, Self

from atomos.stm import _commit
from atomos.stm._clock import read_point
from atomos.stm._seams import Seams

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from atomos.stm._commit import Change
    from atomos.stm._transaction import Transaction

__all__ = ["CommitOrder"]


class CommitOrder:
    """Notes the transactions that threads commit while it is open.

    Attributes:
        _who: Thread ident -> what its next commit is called. Each thread has an entry
            of its own.
        _found: What has committed, with its place in the order.
    """

    def __init__(self) -> None:
        self._who: dict[int, Hashable] = {}
        self._found: list[tuple[tuple[int, bool], Hashable]] = []
        self._seams = Seams()

    def __enter__(self) -> Self:
        """Note commits from now on."""
        self._seams.function(_commit, "commit", self._noting)
        return self

    def __exit__(self, *_: object) -> None:
        self._seams.close()

    def expect(self, name: Hashable) -> None:
        """Call the next commit of the calling thread `name`."""
        self._who[get_ident()] = name

    def names(self) -> list[Any]:
        """Return what has committed, in order."""
        return [name for _, name in sorted(self._found, key=lambda one: one[0])]

    def _noting(
        self, commit: Callable[[Transaction], list[Change]]
    ) -> Callable[[Transaction], list[Change]]:
        def noting(tx: Transaction) -> list[Change]:
            name = self._who.get(get_ident())
            if name is None:
                return commit(tx)
            before = read_point() if tx.holding else tx.point
            changes = commit(tx)
            del self._who[get_ident()]
            self._found.append((_place(tx, before), name))
            return changes

        return noting


def _place(tx: Transaction, before: int) -> tuple[int, bool]:
    """Return a key to sort by: the number, and whether it has only read."""
    if not tx.writes:
        return before, True
    if tx.status is not None:
        return tx.status.number, False
    return tx.view[tx.writes[0]].number, False
