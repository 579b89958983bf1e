"""Which transaction must come before which: the graph of a history.

For a serial order each transaction is one point, and each edge says which of two comes
first. For snapshot isolation it is two points, its begin and its commit, and an edge
leads from the point where the first one did what it did to the point of the second:

ww, wr, rt  from a commit to a begin: the second one has the first in its snapshot
rw          from a begin to a commit: the first one's snapshot is without the second

The begin of each is before its commit. So a cycle cannot take two rw edges in a row,
and each other cycle of transactions is one of points, too. These are the cycles that
snapshot isolation forbids.

An append that no read shows comes after all that are shown. Among these, one of a
transaction that has read that last version is the first; the others have no order.

Help nodes keep the graph small. Time is a chain of nodes: a commit leads to the next
one, and each leads to the begins that come before the next commit. Who has read the
last version leads to one node, and that to all who appended later.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from atomos.testing._anomaly import Edge
from atomos.testing._cycles import Graph

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from atomos.testing._records import Transaction
    from atomos.testing._versions import Versions

__all__ = ["cycle_of"]


def cycle_of(versions: Versions, *, snapshot: bool, time: bool) -> list[Edge] | None:
    """Return a shortest cycle of transactions; None if there is none.

    Args:
        versions: A history without anomalies of other kinds.
        snapshot: Whether each transaction is two points.
        time: Whether there are edges of real time.
    """
    dependencies = Dependencies(versions, snapshot=snapshot)
    if time:
        dependencies.add_time(versions.transactions)
    cycle = dependencies.graph.shortest_cycle()
    if cycle is None:
        return None
    return _whole([step.mark for step in cycle if step.mark is not None])


def _whole(marks: list[Edge]) -> list[Edge]:
    """Join the halves of edges."""
    if marks[0].source < 0:
        marks = [*marks[1:], marks[0]]
    edges: list[Edge] = []
    for mark in marks:
        if mark.source < 0:
            edges[-1] = edges[-1].joined(mark)
        else:
            edges.append(mark)
    return edges


class Dependencies:
    """The graph of the points of all transactions, and of help nodes.

    Attributes:
        graph: The point of transaction n, or its begin and its commit, are the nodes
            ``n * _width`` and ``n * _width + _width - 1``.
        _width: How many points a transaction is, 1 or 2.
    """

    def __init__(self, versions: Versions, *, snapshot: bool) -> None:
        self._width = 2 if snapshot else 1
        self._versions = versions
        self.graph: Graph[Edge] = Graph(self._width * len(versions.transactions))
        if snapshot:
            for number in range(len(versions.transactions)):
                self.graph.add(self._begin(number), self._end(number), 0, None)
        self._add_shown()
        self._add_not_shown()

    def _begin(self, number: int) -> int:
        return number * self._width

    def _end(self, number: int) -> int:
        return number * self._width + self._width - 1

    def _add(self, edge: Edge) -> None:
        if edge.source == edge.target:
            return
        if edge.kind == "rw":
            source, target = self._begin(edge.source), self._end(edge.target)
        else:
            source, target = self._end(edge.source), self._begin(edge.target)
        self.graph.add(source, target, 1, edge)

    def _add_shown(self) -> None:
        """Add what the order of the versions says."""
        writer, orders = self._versions.writer, self._versions.orders
        for key, order in orders.items():
            for one, two in pairwise(order):
                self._add(Edge("ww", writer[key, one], writer[key, two], key, one, two))
        for reader, key, value in self._versions.seen:
            order = orders[key]
            if value:
                last = value[-1]
                self._add(Edge("wr", writer[key, last], reader, key, last, value))
            if len(value) < len(order):
                new = order[len(value)]
                self._add(Edge("rw", reader, writer[key, new], key, value, new))

    def _add_not_shown(self) -> None:
        """Add that what no read shows comes after what is shown."""
        late = self._not_shown()
        readers: dict[Hashable, list[int]] = {}
        for reader, key, value in self._versions.seen:
            if key in late and len(value) == len(self._versions.orders[key]):
                readers.setdefault(key, []).append(reader)
        for key, elements in late.items():
            order = self._versions.orders.get(key, ())
            first = [reader for reader in readers.get(key, ()) if reader in elements]
            if first:
                self._add_first(key, first[0], elements, readers[key], order)
                continue
            if order:
                last, writer = order[-1], self._versions.writer[key, order[-1]]
                for number, new in elements.items():
                    self._add(Edge("ww", writer, number, key, last, new))
            if key in readers:
                node = self.graph.add_node()
                for reader in readers[key]:
                    half = Edge("rw", reader, -1, key, order)
                    self.graph.add(self._begin(reader), node, 1, half)
                for number, new in elements.items():
                    half = Edge("rw", -1, number, key, None, new)
                    self.graph.add(node, self._end(number), 0, half)

    def _add_first(
        self,
        key: Hashable,
        first: int,
        elements: dict[int, Hashable],
        readers: list[int],
        order: tuple[Hashable, ...],
    ) -> None:
        """Add that `first` comes after what is shown, and before the others.

        That it comes after whoever has written the last version is known, since it
        has read it.
        """
        new = elements[first]
        for reader in readers:
            self._add(Edge("rw", reader, first, key, order, new))
        for number, element in elements.items():
            self._add(Edge("ww", first, number, key, new, element))

    def _not_shown(self) -> dict[Hashable, dict[int, Hashable]]:
        """Return by key and transaction the first element that no read shows."""
        shown = {
            (k, element)
            for k, order in self._versions.orders.items()
            for element in order
        }
        late: dict[Hashable, dict[int, Hashable]] = {}
        for (key, element), number in self._versions.writer.items():
            if (key, element) not in shown:
                late.setdefault(key, {}).setdefault(number, element)
        return late

    def add_time(self, transactions: Sequence[Transaction]) -> None:
        """Add that who had ended before another one began comes first."""
        events = []
        for number, transaction in enumerate(transactions):
            events.append((transaction.invoked, number, False))
            if transaction.returned is not None:
                events.append((transaction.returned, number, True))
        now: int | None = None
        for _, number, is_end in sorted(events):
            if is_end:
                node = self.graph.add_node()
                self.graph.add(self._end(number), node, 1, Edge("rt", number, -1))
                if now is not None:
                    self.graph.add(now, node, 0, None)
                now = node
            elif now is not None:
                half = Edge("rt", -1, number)
                self.graph.add(now, self._begin(number), 0, half)
