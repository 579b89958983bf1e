"""`Anomaly`: what is wrong with a history of transactions, by name and in words.

The names are those of Adya's thesis where it has one. `P4` and `A5` are those of
Berenson et al., "A critique of ANSI SQL isolation levels", 1995; `G-nonadjacent` is
Elle's. "real-time" is added where the cycle holds only because one transaction had
ended before another one began.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from atomos.testing._records import label, shown

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from atomos.testing._records import Transaction

__all__ = ["Anomaly", "Edge", "anomaly_of"]


@dataclass(frozen=True, slots=True)
class Anomaly:
    """Something that no order of the transactions explains.

    Attributes:
        name: What it is called.
        transactions: Who has to do with it; of a cycle each in turn.
        facts: What they did, in words; of a cycle one for each step.
    """

    name: str
    transactions: tuple[Transaction, ...]
    facts: tuple[str, ...]

    def __str__(self) -> str:
        """Tell the story."""
        return "\n".join([self.name, *(f"  {fact}" for fact in self.facts)])


class Edge(NamedTuple):
    """A reason why one transaction comes before another one.

    Attributes:
        kind: ww, both appended; wr, the second one saw what the first one had
            appended; rw, the first one did not see what the second one appended; rt,
            the first one had ended when the second one began.
        source: The number of the first one; -1 in the second half of an edge.
        target: The number of the second one; -1 in the first half of an edge.
        key: The list it is about.
        before: What the first one did with it: an element, or what it saw.
        after: What the second one did with it.
    """

    kind: str
    source: int
    target: int
    key: Hashable = None
    before: object = None
    after: object = None

    def joined(self, second: Edge) -> Edge:
        """Return the edge of which this is the first half."""
        return self._replace(target=second.target, after=second.after)


def anomaly_of(cycle: Sequence[Edge], transactions: Sequence[Transaction]) -> Anomaly:
    """Return what a cycle is, beginning with its first transaction."""
    first = min(range(len(cycle)), key=lambda n: cycle[n].source)
    cycle = [*cycle[first:], *cycle[:first]]
    members = tuple(transactions[edge.source] for edge in cycle)
    facts = tuple(_fact(edge, transactions) for edge in cycle)
    return Anomaly(_name_of(cycle), members, facts)


def _name_of(cycle: Sequence[Edge]) -> str:
    """Return what a cycle is called."""
    kinds = [edge.kind for edge in cycle]
    anti = kinds.count("rw")
    adjacent = any(
        one == other == "rw"
        for one, other in zip(kinds, [*kinds[1:], kinds[0]], strict=True)
    )
    if anti == 0:
        text = "dirty write (G0)" if "wr" not in kinds else "circular reads (G1c)"
        if kinds.count("rt") == len(kinds) - 1 and "wr" in kinds:
            text = "read from the future (G1c)"
    elif anti == 1:
        text = "read skew (G-single, A5A)"
        if kinds.count("rt") == len(kinds) - 1:
            text = "stale read (G-single)"
    elif not adjacent:
        text = "long fork (G-nonadjacent)"
    elif len(cycle) == 2:
        text = "write skew (G2-item, A5B)"
    else:
        text = "cycle of reads and writes (G2-item)"
    return f"real-time {text}" if "rt" in kinds else text


def _fact(edge: Edge, transactions: Sequence[Transaction]) -> str:
    """Say in words what an edge is."""
    first, second = transactions[edge.source], transactions[edge.target]
    key = label(edge.key)
    if edge.kind == "rt":
        return f"{first} had ended before {second} began"
    if edge.kind == "rw":
        assert isinstance(edge.before, tuple)
        seen = shown(edge.before)
        return f"{first} read {key} = {seen}, before {second} appended {edge.after!r}"
    if edge.kind == "wr":
        assert isinstance(edge.after, tuple)
        seen = shown(edge.after)
        return f"{first} appended {edge.before!r} to {key}, and {second} read {seen}"
    return (
        f"{first} appended {edge.before!r} to {key}, before {second} appended "
        f"{edge.after!r}"
    )
