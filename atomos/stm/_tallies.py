"""The counts of one thread, by name of the transaction.

A count is a single ``+=`` on an int, in which no signal handler or finalizer can run.

What is kept is bounded: beyond `NAMES` transactions, and `REFS` refs of one of them,
all others are counted together.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from atomos.stm._causes import Cause, Wait
from atomos.stm._figures import TransactionStatistics

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CAUSE_PLACE", "WAIT_PLACE", "Tallies", "Tally", "add", "tally_of"]

#: Transactions that are told apart, and refs of each, by what messages call them.
NAMES, REFS = 1000, 100
OTHER_NAMES, OTHER_REFS = "(other transactions)", "(other refs)"
CAUSES, WAITS = tuple(Cause), tuple(Wait)
CAUSE_PLACE = {cause: place for place, cause in enumerate(CAUSES)}
WAIT_PLACE = {wait: place for place, wait in enumerate(WAITS)}


class Tally:
    """The counts of one transaction name, in one thread.

    Attributes:
        commits: Attempts that have committed.
        spent: Nanoseconds in attempts, without their waits.
        waited: Nanoseconds in waits.
        aborts: Attempts that have ended by each of `CAUSES`.
        failures: Transactions that have ended for good by each of `CAUSES`.
        waits: Waits for each of `WAITS`.
        conflicts: By ref, how often an attempt was lost to it or it was waited for; a
            list of one number, so that counting is one ``+=``.
    """

    __slots__ = (
        "aborts",
        "commits",
        "conflicts",
        "failures",
        "spent",
        "waited",
        "waits",
    )

    def __init__(self) -> None:
        self.commits = self.spent = self.waited = 0
        self.aborts = [0] * len(CAUSES)
        self.failures = [0] * len(CAUSES)
        self.waits = [0] * len(WAITS)
        self.conflicts: dict[str, list[int]] = {}

    def conflict(self, ref: str, times: int = 1) -> None:
        """Count a conflict on `ref`."""
        if ref not in self.conflicts and len(self.conflicts) >= REFS:
            ref = OTHER_REFS
        self.conflicts.setdefault(ref, [0])[0] += times

    def add(self, other: Tally) -> None:
        """Add the counts of `other`, in which its thread may be counting."""
        self.commits += other.commits
        self.spent += other.spent
        self.waited += other.waited
        for mine, others in (
            (self.aborts, other.aborts),
            (self.failures, other.failures),
            (self.waits, other.waits),
        ):
            for place, count in enumerate(others):
                mine[place] += count
        for ref, (times,) in other.conflicts.copy().items():
            self.conflict(ref, times)

    def figures(self, name: str) -> TransactionStatistics:
        """Return the record of these counts."""
        ranked = sorted(self.conflicts.items(), key=lambda item: -item[1][0])
        return TransactionStatistics(
            name=name,
            commits=self.commits,
            attempts=self.commits + sum(self.aborts),
            aborts=_named(CAUSES, self.aborts),
            failures=_named(CAUSES, self.failures),
            waits=_named(WAITS, self.waits),
            conflicts=MappingProxyType({ref: times for ref, (times,) in ranked}),
            seconds=self.spent / 1e9,
            waited=self.waited / 1e9,
        )


Tallies = dict[str, Tally]


def _named(
    names: tuple[Cause, ...] | tuple[Wait, ...], counts: list[int]
) -> Mapping[str, int]:
    """Return what was counted at all, read-only, by its name."""
    found = {name.value: n for name, n in zip(names, counts, strict=True) if n}
    return MappingProxyType(found)


def tally_of(tallies: Tallies, name: str) -> Tally:
    """Return the tally to count `name` in."""
    if name not in tallies and len(tallies) >= NAMES:
        name = OTHER_NAMES
    return tallies.setdefault(name, Tally())


def add(sums: Tallies, tallies: Tallies) -> None:
    for name, tally in tallies.copy().items():
        tally_of(sums, name).add(tally)
