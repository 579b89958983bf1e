"""Finds what must not be in a history of transactions that append to lists.

After Adya's thesis (1999), and Elle (Kingsbury and Alvaro, 2020): each value is
a tuple, each write appends one element that nobody else appends. So a read
tells in what order all the elements that it holds were written, and each pair
of transactions that follow one another in any of these ways is an edge:

ww  the second one appended right after what the first one had appended
wr  the second one read what the first one had appended
rw  the first one read, and the second one appended right after what it saw
rt  the first one had ended before the second one began (real time)

Where these edges form a cycle, no order of the transactions explains what they
saw. For snapshot isolation a cycle is allowed if it has two rw edges in a row.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import Any, NamedTuple


@dataclass
class Txn:
    """One transaction, or one attempt that was not committed.

    Attributes:
        name: What messages call it.
        start: A time before its begin.
        end: A time after its end.
        ops: ("append", key, element) and ("read", key, tuple), in order.
        committed: Whether it took effect.
    """

    name: str
    start: int
    end: int
    ops: list[tuple[str, Any, Any]] = field(default_factory=list)
    committed: bool = True


class Edge(NamedTuple):
    """One step in a graph."""

    kind: str
    source: Any
    target: Any
    why: str


class Anomaly(NamedTuple):
    """What is wrong: its name in the literature, and why."""

    kind: str
    text: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}"


class History:
    """The graph of a history.

    Attributes:
        anomalies: What is wrong without regard to cycles.
        edges: All edges between committed transactions but those of real time.
    """

    def __init__(self, txns):
        self.txns = list(txns)
        self.committed = [txn for txn in self.txns if txn.committed]
        self.anomalies = []
        self.edges = []
        self._writer = {}
        self._last = {}  # (id of txn, key) -> the element it appended last
        self._reads = []  # (txn, key, what it saw of others)
        for txn in self.txns:
            self._take_in(txn)
        self._order = self._orders()
        self._check_reads()
        self._link()

    def _wrong(self, kind, text):
        self.anomalies.append(Anomaly(kind, text))

    def _take_in(self, txn):
        seen, own = {}, defaultdict(tuple)
        for op, key, value in txn.ops:
            if op == "append":
                assert (key, value) not in self._writer, "elements must be unique"
                self._writer[key, value] = txn
                self._last[id(txn), key] = value
                own[key] += (value,)
                continue
            if own[key] and value[-len(own[key]) :] != own[key]:
                text = f"{txn.name} read {key}={value} after appending {own[key]}"
                self._wrong("internal", text)
                continue
            others = value[: len(value) - len(own[key])]
            if key in seen and seen[key] != others:
                text = f"{txn.name} read {key} as {seen[key]} and later as {others}"
                self._wrong("internal", text)
            elif key not in seen:
                seen[key] = others
                self._reads.append((txn, key, others))

    def _orders(self):
        """Return key -> all elements in order, from the longest committed read."""
        orders = defaultdict(tuple)
        for txn, key, value in self._reads:
            if txn.committed and len(value) > len(orders[key]):
                orders[key] = value
        return orders

    def _check_reads(self):
        for txn, key, value in self._reads:
            order = self._order[key]
            known = order if txn.committed else None
            if len(set(value)) != len(value):
                self._wrong("duplicate", f"{txn.name} read {key}={value}")
            if known is not None and order[: len(value)] != value:
                text = f"{txn.name} read {key}={value}, but others read {order}"
                self._wrong("incompatible order", text)
            for element in value:
                writer = self._writer.get((key, element))
                if writer is None:
                    text = f"{txn.name} read {key}={value}: nobody wrote {element}"
                    self._wrong("garbage", text)
                elif not writer.committed and writer is not txn:
                    text = (
                        f"{txn.name} read {key}={value}, but {writer.name}, which "
                        f"appended {element}, did not commit"
                    )
                    self._wrong("G1a", text)
            if value:
                writer = self._writer.get((key, value[-1]))
                if writer is not None and writer is not txn:
                    last = self._last[id(writer), key]
                    if last != value[-1]:
                        text = (
                            f"{txn.name} read {key}={value}, halfway through "
                            f"{writer.name}, which appended {last} too"
                        )
                        self._wrong("G1b", text)

    def _link(self):
        def add(kind, source, target, why):
            if source is not target and source.committed and target.committed:
                self.edges.append(Edge(kind, source.name, target.name, why))

        position = {}
        for key, order in self._order.items():
            writers = [self._writer.get((key, element)) for element in order]
            for i, element in enumerate(order):
                position[key, element] = i
                if i and writers[i - 1] and writers[i]:
                    why = f"appended {element} to {key} after {order[i - 1]}"
                    add("ww", writers[i - 1], writers[i], why)
        for txn, key, value in self._reads:
            order = self._order[key]
            if value and (writer := self._writer.get((key, value[-1]))):
                add("wr", writer, txn, f"read its {value[-1]} of {key}")
            if len(value) < len(order) and order[: len(value)] == value:
                following = order[len(value)]
                if writer := self._writer.get((key, following)):
                    why = f"appended {following} to {key}, which was not seen"
                    add("rw", txn, writer, why)
        # An append that no read shows comes after all that was read.
        for (key, element), writer in self._writer.items():
            if writer.committed and (key, element) not in position:
                for txn, other, value in self._reads:
                    if other == key and value == self._order[key]:
                        why = f"appended {element} to {key}, which was not seen"
                        add("rw", txn, writer, why)

    def _time(self):
        """Yield edges of real time, through a chain of points in time."""
        events = []
        for txn in self.committed:
            assert txn.start <= txn.end
            # At the same instant the begin comes first: no edge then.
            events.append((txn.start, 0, txn.name))
            events.append((txn.end, 1, txn.name))
        events.sort()
        for i, (_, is_end, name) in enumerate(events):
            if i:
                yield Edge("rt", ("time", i - 1), ("time", i), "")
            if is_end:
                yield Edge("rt", name, ("time", i), "")
            else:
                yield Edge("rt", ("time", i), name, "")

    def find(self, isolation="serializable"):
        """Return all that is wrong with this history at that isolation."""
        graph = defaultdict(list)
        for edge in (*self.edges, *self._time()):
            if isolation == "serializable":
                graph[edge.source].append(edge)
                continue
            # A node stands for "came by rw" or "came otherwise": no two rw.
            if edge.kind == "rw":
                source, target = (edge.source, False), (edge.target, True)
                graph[source].append(edge._replace(source=source, target=target))
            else:
                for came_by_rw in (False, True):
                    source, target = (edge.source, came_by_rw), (edge.target, False)
                    graph[source].append(edge._replace(source=source, target=target))
        cycle = shortest_cycle(graph)
        found = list(self.anomalies)
        if cycle:
            found.append(Anomaly(name_of(cycle), in_words(cycle)))
        return found


def name_of(cycle):
    """Return what the literature calls a cycle with these edges."""
    kinds = [edge.kind for edge in cycle]
    strict = "strict " if "rt" in kinds else ""
    if "rw" not in kinds:
        return strict + ("G1c" if "wr" in kinds else "G0")
    return strict + ("G-single" if kinds.count("rw") == 1 else "G2")


def in_words(cycle):
    """Tell the story of a cycle."""

    def plain(node):
        return (
            node[0] if isinstance(node, tuple) and isinstance(node[1], bool) else node
        )

    lines, since = [], None
    # Begin at a transaction, not at a point in time.
    names = [plain(edge.source) for edge in cycle]
    first = next(i for i, name in enumerate(names) if not isinstance(name, tuple))
    for edge in cycle[first:] + cycle[:first]:
        source, target = plain(edge.source), plain(edge.target)
        if edge.kind != "rt":
            lines.append(f"{source} -{edge.kind}-> {target}, which {edge.why}")
            continue
        if not isinstance(source, tuple):
            since = source
        if not isinstance(target, tuple):
            lines.append(f"{since} -rt-> {target}, which began when it had ended")
    return "; ".join(lines)


def shortest_cycle(graph):
    """Return a short cycle as a list of edges; None if there is none.

    It is the shortest through one of the first nodes of a component.
    """
    best = None
    for component in components(graph):
        for node in component[:40]:
            cycle = _through(graph, node, set(component))
            if cycle and (best is None or len(cycle) < len(best)):
                best = cycle
        if best:
            return best
    return None


def _through(graph, start, within):
    came_by, todo = {}, deque([start])
    while todo:
        node = todo.popleft()
        for edge in graph.get(node, ()):
            if edge.target not in within or edge.target in came_by:
                continue
            came_by[edge.target] = edge
            if edge.target == start:
                cycle = [edge]
                while cycle[0].source != start:
                    cycle.insert(0, came_by[cycle[0].source])
                return cycle
            todo.append(edge.target)
    return None


def components(graph):
    """Yield the strongly connected components of more than one node (Tarjan)."""
    number, low, on_stack, stack = {}, {}, set(), []
    for root in list(graph):
        if root in number:
            continue
        work = [(root, iter(graph.get(root, ())))]
        number[root] = low[root] = len(number)
        stack.append(root)
        on_stack.add(root)
        while work:
            node, edges = work[-1]
            for edge in edges:
                target = edge.target
                if target not in number:
                    number[target] = low[target] = len(number)
                    stack.append(target)
                    on_stack.add(target)
                    work.append((target, iter(graph.get(target, ()))))
                    break
                if target in on_stack:
                    low[node] = min(low[node], number[target])
            else:
                work.pop()
                if work:
                    parent = work[-1][0]
                    low[parent] = min(low[parent], low[node])
                if low[node] == number[node]:
                    component = []
                    while not component or component[-1] != node:
                        component.append(stack.pop())
                        on_stack.discard(component[-1])
                    if len(component) > 1:
                        yield component[::-1]


def find_anomalies(txns, isolation="serializable"):
    """Return all that is wrong with a history, as a list of `Anomaly`."""
    return History(txns).find(isolation)
