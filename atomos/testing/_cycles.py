"""The shortest cycle of a graph.

Nodes are numbers. Each step from a node has a length of 0 or 1, so that help nodes
cost nothing, and a mark. Only strongly connected components have cycles; in each a
search from one node after the other, breadth first, finds the shortest, and is cut
short by the best one so far.
"""

from __future__ import annotations

from collections import deque
from typing import Generic, NamedTuple, TypeVar

__all__ = ["Graph", "Step"]

M = TypeVar("M")

#: How many nodes are looked at until the shortest one so far is good enough.
PATIENCE = 300_000

#: The node at which a search begins, when it comes there again.
AGAIN = -1


class Step(NamedTuple, Generic[M]):
    """A step from one node to another one.

    Attributes:
        target: Where it leads.
        length: 0 or 1.
        mark: What it stands for; None if for nothing.
    """

    target: int
    length: int
    mark: M | None


class Graph(Generic[M]):
    """Nodes and the steps from each. No cycle may be shorter than 2.

    Attributes:
        steps: Those from each node.
    """

    def __init__(self, nodes: int) -> None:
        self.steps: list[list[Step[M]]] = [[] for _ in range(nodes)]

    def add_node(self) -> int:
        """Add a node, and return its number."""
        self.steps.append([])
        return len(self.steps) - 1

    def add(self, source: int, target: int, length: int, mark: M | None) -> None:
        """Add a step."""
        self.steps[source].append(Step(target, length, mark))

    def shortest_cycle(self) -> list[Step[M]] | None:
        """Return the steps of a shortest cycle; None if there is none.

        Where that takes too long, in a graph that is large and full of long cycles, it
        is the shortest of those found by then.
        """
        best: list[Step[M]] | None = None
        shortest = len(self.steps) + 1
        patience = PATIENCE
        for component in self._components():
            within = set(component)
            for start in component:
                cycle, seen = self._through(start, within, shortest)
                if cycle is not None:
                    best, shortest = cycle, sum(step.length for step in cycle)
                patience -= seen
                if best is not None and (shortest <= 2 or patience < 0):
                    return best
        return best

    def _through(
        self, start: int, within: set[int], limit: int
    ) -> tuple[list[Step[M]] | None, int]:
        """Return a shortest cycle through a node, if it is shorter than `limit`.

        Also how many nodes were looked at.
        """
        came_by: dict[int, tuple[int, Step[M]]] = {}
        distance = {start: 0}
        todo, done = deque([start]), set[int]()
        while todo:
            node = todo.popleft()
            if node == AGAIN:
                return _back(came_by, start), len(done)
            if node in done:
                continue
            done.add(node)
            for step in self.steps[node]:
                target = AGAIN if step.target == start else step.target
                far = distance[node] + step.length
                if far < distance.get(target, limit) and step.target in within:
                    distance[target] = far
                    came_by[target] = (node, step)
                    (todo.append if step.length else todo.appendleft)(target)
        return None, len(done)

    def _components(self) -> list[list[int]]:
        """Return the strongly connected components of more than one node."""
        found: list[list[int]] = []
        number: dict[int, int] = {}
        low: dict[int, int] = {}
        stack: list[int] = []
        on_stack: set[int] = set()
        for root in range(len(self.steps)):
            if root in number:
                continue
            work = [(root, iter(self.steps[root]))]
            while work:
                node, steps = work[-1]
                if node not in number:
                    number[node] = low[node] = len(number)
                    stack.append(node)
                    on_stack.add(node)
                for step in steps:
                    if step.target not in number:
                        work.append((step.target, iter(self.steps[step.target])))
                        break
                    if step.target in on_stack:
                        low[node] = min(low[node], number[step.target])
                else:
                    work.pop()
                    if work:
                        above = work[-1][0]
                        low[above] = min(low[above], low[node])
                    if low[node] == number[node]:
                        component = _pop_until(stack, node)
                        on_stack.difference_update(component)
                        if len(component) > 1:
                            found.append(component)
        return found


def _pop_until(stack: list[int], node: int) -> list[int]:
    place = len(stack) - 1
    while stack[place] != node:
        place -= 1
    popped = stack[place:]
    del stack[place:]
    return popped


def _back(came_by: dict[int, tuple[int, Step[M]]], start: int) -> list[Step[M]]:
    """Return the steps that led back to `start`."""
    node, step = came_by[AGAIN]
    cycle = [step]
    while node != start:
        node, step = came_by[node]
        cycle.append(step)
    return cycle[::-1]
