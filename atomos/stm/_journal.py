"""What only some attempts have: hooks, open parts, values of their own.

It is made when it is first needed and lies in one slot of the attempt, so that one
which uses none of it pays for a look at that slot.

A *part* is a nested call, or an alternative of `or_else`: what it does can be undone
alone. To begin one costs O(1). Most of what it does is undone by forgetting what came
after it began: cells that were first written in it, and hooks. Only where it changes
in place what was made before it began does it keep what was there, once for each
cell. A part that ends well leaves what it has kept to the part around it.

What a part has read stays read when it is undone: what the body does next may depend
on it. So a `commute` of an outer part that an inner one has made an ordinary write,
since it read the cell, stays one; only the calls of the inner one are taken back.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from atomos.stm._commute import compute
from atomos.stm._footprint import COMMUTED

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from atomos.stm._cell import Version

__all__ = [
    "AFTER_COMMIT",
    "AFTER_ROLLBACK",
    "BEFORE_COMMIT",
    "Journal",
    "Part",
    "run_hooks",
]

#: When a hook runs.
BEFORE_COMMIT: Final = "before_commit"
AFTER_COMMIT: Final = "after_commit"
AFTER_ROLLBACK: Final = "after_rollback"

_logger = logging.getLogger("atomos")


class Part:
    """A part of an attempt, that can be undone alone.

    Made without `__init__`, as versions are.

    Attributes:
        journal: That of the attempt.
        outer: The part around it; None if that is the attempt itself.
        written: How many cells the attempt had written when it began.
        hooked: How many hooks the attempt had then.
        kept: What it has changed in place: the cell -> the version, its value before,
            and the number of its commutes before, or -1 if it has a value.
        read_only: What that of the attempt was around it, to be put back.
        choice: There is an alternative to it, if it calls `retry`.
        open: It has not ended, and was not undone.
    """

    __slots__ = (
        "choice",
        "hooked",
        "journal",
        "kept",
        "open",
        "outer",
        "read_only",
        "written",
    )

    journal: Journal
    outer: Part | None
    written: int
    hooked: int
    kept: dict[Hashable, tuple[Version[Any], Any, int]]
    read_only: bool | str
    choice: bool
    open: bool


class Journal:
    """What only some attempts have.

    Attributes:
        part: The innermost part that is open; None if none is.
        hooks: When they run, and the functions, in the order in which they came.
        due: Which hooks are to run if an exception ends the transaction: those of a
            rollback, until it is known to have committed.
        values: `TransactionLocal` -> what holds its value, as a version of no cell.
    """

    __slots__ = ("due", "hooks", "part", "values")

    def __init__(self) -> None:
        self.part: Part | None = None
        self.due: str = AFTER_ROLLBACK
        self.hooks: list[tuple[str, Callable[[], object]]] = []
        self.values: dict[Hashable, Version[Any]] = {}

    def in_alternative(self) -> bool:
        """Whether an `or_else` will take what `retry` raises."""
        part = self.part
        while part is not None:
            if part.choice:
                return True
            part = part.outer
        return False

    def forget(self) -> None:
        """Keep no values alive: the attempt is over, and only its hooks may run."""
        self.part = None
        self.values = {}

    def keep(self, key: Hashable, version: Version[Any]) -> None:
        """Note what is there, since the innermost part is about to change it.

        Args:
            key: The cell, or what else the version belongs to.
            version: An uncommitted one of this attempt.
        """
        part = self.part
        if part is not None and key not in part.kept:
            value = version.value
            count = len(value) if version.number == COMMUTED else -1
            part.kept[key] = version, value, count

    def compute(
        self, key: Hashable, value: Any, calls: list[Any]
    ) -> tuple[Any, list[tuple[Part, Any]]]:
        """Compute the commutes of a cell which is about to be an ordinary write.

        Args:
            key: The cell.
            value: What they are computed on.
            calls: All of them.

        Returns:
            What they make of it, and what it was when each part began that must
            put it back.
        """
        part, counts = self.part, []
        while part is not None:
            if key in part.kept:
                counts.append((part, part.kept[key][2]))
            part = part.outer
        done, before = 0, []
        for part, count in reversed(counts):
            value = compute(value, calls[done:count])
            before.append((part, value))
            done = count
        return compute(value, calls[done:]), before


def run_hooks(journal: Journal, when: str) -> None:
    """Run the hooks of an attempt that has ended, outside of it.

    An `Exception` is reported. What is no `Exception` is raised when all have run.
    """
    stopped: BaseException | None = None
    for kind, fn in journal.hooks:
        if kind == when:
            try:
                fn()
            except Exception:
                _logger.exception("a function given to %s raised", when)
            except BaseException as error:
                stopped = stopped or error
    if stopped is not None:
        raise stopped
