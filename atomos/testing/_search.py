"""The search for an order of operations that explains what came out.

It goes through the ends of operations in their order. At each end the operation must
have taken effect: it is given its place in the order now, or others that are open are
given theirs before it. So of the operations only those that overlap are tried in
different orders. A *node* is what the rest of the search depends on: how many ends
have been passed, which of the open operations have their place, and the state. Each
node is visited once.

Which open operations have their place is a number with one bit for each. A bit
belongs to an operation from its begin to its end, and is free afterwards, so these
numbers are small however long the history is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from atomos.testing._records import outcome

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from atomos.testing._linearizable import Model
    from atomos.testing._records import Operation

__all__ = ["Choice", "Search"]

S = TypeVar("S", bound="Hashable")


class Choice(NamedTuple):
    """A state in which an operation might have taken effect, and what it would do.

    Attributes:
        state: The state before it.
        result: What it would have returned there.
        error: What it would have raised there, if it would.
    """

    state: Any
    result: Any
    error: Exception | None


class Node(NamedTuple, Generic[S]):
    """Where a search is.

    Attributes:
        ends: How many ends have been passed.
        placed: The bits of those open operations that have their place.
        state: The state after all that have their place.
        choice: The number of the choice of the suspect, -1 before it has its place.
    """

    ends: int
    placed: int
    state: S
    choice: int


class Search(Generic[S]):
    """A history, to be searched for orders of its operations.

    Attributes:
        ends: The numbers of the operations that ended, in the order of their ends.
        _open: For each end the operations that had begun and not ended before it.
        _bit: The bit of each operation; shared by some that do not overlap.
        _rank: The place of each operation in `ends`; of a pending one, none has it.
        _choices: What the suspect of `explore` could have done, by state and text.
    """

    def __init__(self, operations: Sequence[Operation], model: Model[S]) -> None:
        self._operations = operations
        self._model = model
        self.ends: list[int] = []
        self._open: list[tuple[int, ...]] = []
        self._bit = [0] * len(operations)
        self._rank = [len(operations)] * len(operations)
        self._choices: dict[tuple[S, str], Choice] = {}
        self._follow_events()

    def _follow_events(self) -> None:
        """Find out which operations are open at each end, and give them bits."""
        events = []
        for number, operation in enumerate(self._operations):
            events.append((operation.invoked, number, False))
            if operation.returned is not None:
                events.append((operation.returned, number, True))
        taken, is_open = 0, dict[int, None]()
        for _, number, is_end in sorted(events):
            if is_end:
                self._rank[number] = len(self.ends)
                self.ends.append(number)
                self._open.append(tuple(is_open))
                del is_open[number]
                taken ^= self._bit[number]
            else:
                is_open[number] = None
                self._bit[number] = ~taken & (taken + 1)
                taken |= self._bit[number]

    def order(self, length: int) -> tuple[list[int] | None, int]:
        """Look for an order that explains the history up to an end.

        Args:
            length: How many ends belong to it. What ends later is pending.

        Returns:
            The order, None if there is none; and how many ends can be passed.
        """
        start = Node(0, 0, _hashable(self._model.initial), -1)
        came_from: dict[Node[S], tuple[Node[S], int] | None] = {start: None}
        passed, todo = 0, [start]
        while todo:
            node = todo.pop()
            passed = max(passed, node.ends)
            if node.ends == length:
                return _path(came_from, node), passed
            for after, number in self._steps(node, length, None):
                if after not in came_from:
                    came_from[after] = (node, number)
                    todo.append(after)
        return None, passed

    def explore(self, length: int) -> list[Choice]:
        """Return what the last operation to end could have done at all.

        It is the suspect: any outcome of it is taken.

        Args:
            length: As in `order`.
        """
        suspect = self.ends[length - 1]
        start = Node(0, 0, self._model.initial, -1)
        visited, todo = {start}, [start]
        while todo:
            node = todo.pop()
            if node.ends == length:
                continue
            for after, _ in self._steps(node, length, suspect):
                if after not in visited:
                    visited.add(after)
                    todo.append(after)
        ended = {node.choice for node in visited if node.ends == length}
        return [c for n, c in enumerate(self._choices.values()) if n in ended]

    def _steps(
        self, node: Node[S], length: int, suspect: int | None
    ) -> list[tuple[Node[S], int]]:
        """Return the nodes after this one, and the operation that got its place.

        The operation that ends comes last: it is tried first. -1 stands for none,
        where it has its place already.
        """
        ends, placed, state, choice = node
        ending = self.ends[ends]
        bit = self._bit[ending]
        if placed & bit:
            return [(Node(ends + 1, placed ^ bit, state, choice), -1)]
        steps = []
        for number in (*(n for n in self._open[ends] if n != ending), ending):
            if placed & self._bit[number]:
                continue
            then, result, error = self._apply(state, number)
            chosen = choice
            if number == suspect:
                chosen = self._choice(state, result, error)
            elif not self._fits(number, result, error, length):
                continue
            if number == ending:
                after = Node(ends + 1, placed, then, chosen)
            else:
                after = Node(ends, placed | self._bit[number], then, chosen)
            steps.append((after, number))
        return steps

    def _apply(self, state: S, number: int) -> tuple[S, object, Exception | None]:
        operation = self._operations[number]
        try:
            then, result = self._model.step(state, operation.name, operation.args)
        except Exception as error:
            return state, None, error
        return _hashable(then), result, None

    def _fits(
        self, number: int, result: object, error: Exception | None, length: int
    ) -> bool:
        """Whether an operation came out like that; a pending one always did."""
        if self._rank[number] >= length:
            return True
        operation = self._operations[number]
        if error is not None or operation.error is not None:
            return type(error) is type(operation.error)
        return bool(operation.result == result)

    def _choice(self, state: S, result: object, error: Exception | None) -> int:
        """Return the number of this choice."""
        # By text, since results need not be hashable, and no two errors are equal.
        key = (state, outcome(result, error))
        self._choices.setdefault(key, Choice(state, result, error))
        return list(self._choices).index(key)


def _hashable(state: S) -> S:
    """Return a state of the model, or raise `TypeError`."""
    try:
        hash(state)
    except TypeError:
        msg = f"the model's state {state!r} is not hashable: use a tuple or frozenset"
        raise TypeError(msg) from None
    return state


def _path(
    came_from: dict[Node[S], tuple[Node[S], int] | None], node: Node[S]
) -> list[int]:
    path = []
    while (step := came_from[node]) is not None:
        node, number = step
        if number >= 0:
            path.append(number)
    return path[::-1]
