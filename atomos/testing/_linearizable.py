"""`check_linearizable`: is there one order that explains what all calls returned?"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from atomos.stm._arguments import shown
from atomos.stm._fitness import refuse_uncallable
from atomos.testing._history import refuse_no_history
from atomos.testing._records import outcome
from atomos.testing._search import Search

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from atomos.testing._history import History
    from atomos.testing._records import Operation
    from atomos.testing._search import Choice

__all__ = ["Linearization", "Model", "check_linearizable"]

S = TypeVar("S", bound="Hashable")

#: How many operations and choices a message shows.
SHOWN = 10


@dataclass(frozen=True, slots=True)
class Model(Generic[S]):
    """What an object does when it is used by one thread alone.

    Attributes:
        initial: The state at first. States must be hashable: a tuple, not a list.
        step: ``step(state, name, args)`` returns the state after an operation and
            what it returns. If it raises an `Exception`, the operation raises one of
            that type, and the state stays. It must have no other effect.
        key: ``key(name, args)`` says which part of the object an operation is
            about, if the parts are independent and each begins with `initial`.
            Each part is judged alone, which is much faster.

    Raises:
        TypeError: `step` or `key` is not callable.

    Cost: to make one, O(1).

    Example:
        >>> from atomos.testing import Model
        >>> def counter(n, name, args):
        ...     return (n + args[0], n + args[0]) if name == "add" else (n, n)
        >>> Model(0, counter).initial
        0
    """

    initial: S
    step: Callable[[S, str, tuple[Any, ...]], tuple[S, object]]
    key: Callable[[str, tuple[Any, ...]], Hashable] | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be called."""
        refuse_uncallable(self.step, "Model, as step,")
        if self.key is not None:
            refuse_uncallable(self.key, "Model, as key,")


@dataclass(frozen=True, slots=True, repr=False)
class Linearization:
    """The answer of `check_linearizable`; true if the history is linearizable.

    Attributes:
        order: An order of the operations that explains what they returned; with
            keys, key by key. If there is none, one that does so up to the end of
            `stuck`; what is open there may be left out, or have any result.
        stuck: The first operation that no order explains at its end; None if all
            are explained.
        choices: The states in which `stuck` could have taken effect, and what it
            would have returned there.
    """

    order: tuple[Operation, ...]
    stuck: Operation | None
    choices: tuple[Choice, ...]

    def __bool__(self) -> bool:
        """Whether it is linearizable."""
        return self.stuck is None

    def __repr__(self) -> str:
        """Tell what is wrong."""
        if self.stuck is None:
            return f"linearizable: an order explains {len(self.order)} operations"
        lines = [
            f"not linearizable: {self.stuck}",
            "No order of it and the operations before it explains all their results.",
            "This order explains all but its own:",
        ]
        left_out = len(self.order) - SHOWN
        if left_out > 0:
            lines.append(f"  ... {left_out} operations before")
        lines += [f"  {operation}" for operation in self.order[-SHOWN:]]
        if not self.order:
            lines.append("  (nothing)")
        lines.append(f"Where {self.stuck.name} could have been, it would have:")
        for choice in self.choices[:SHOWN]:
            would = outcome(choice.result, choice.error)
            would = would if choice.error is not None else f"returned {would}"
            lines.append(f"  {would}, in state {choice.state!r}")
        if len(self.choices) > SHOWN:
            lines.append(f"  ... in {len(self.choices) - SHOWN} other states, too")
        return "\n".join(lines)


def check_linearizable(history: History, model: Model[S], /) -> Linearization:
    """Look for one order of all operations that explains what each has returned.

    In that order each operation takes effect at one instant between its begin and its
    end. A pending one takes effect at some instant after its begin, with any
    result, or not at all.

    The answer is about the shortest beginning of the history that no order explains:
    up to the end of its `stuck` operation there is none, and up to the end before
    that one there is. With keys it is about the key for which that is shortest.

    Args:
        history: Its operations; transactions in it do not matter.
        model: What the object does when it is used by one thread.

    Returns:
        An answer that is true if there is such an order, and else says in words which
        operation cannot be placed.

    Raises:
        TypeError: A state of the model is not hashable, or an argument is of another
            type.

    Cost: the number of steps of the model is at worst exponential in the number of
    operations that overlap, pending ones above all, and linear in all others.

    Source: Herlihy and Wing, 1990, for the condition, and for looking at each part
        alone. Wing and Gong, "Testing and verifying concurrent objects", 1993, for
        the search. Lowe, "Testing for linearizability", 2017, for remembering where
        it has been, and for placing operations only when one ends.

    Example:
        >>> from atomos import AtomicInteger
        >>> from atomos.testing import History, Model, check_linearizable
        >>> history, hits = History(), AtomicInteger(0)
        >>> def counter(n, name, args):
        ...     return (n + args[0], n + args[0]) if name == "add" else (n, n)
        >>> history.call("add", hits.add_and_get, 2)
        2
        >>> check_linearizable(history, Model(0, counter))
        linearizable: an order explains 1 operations
        >>> with history.operation("get") as get:
        ...     get.result = 3
        >>> check_linearizable(history, Model(0, counter))
        not linearizable: get() -> 3 in MainThread
        No order of it and the operations before it explains all their results.
        This order explains all but its own:
          add(2) -> 2 in MainThread
        Where get could have been, it would have:
          returned 2, in state 2
    """
    refuse_no_history(history, "check_linearizable")
    if not isinstance(model, Model):
        msg = (
            f"check_linearizable needs a Model, not {type(model).__name__} "
            f"{shown(model)}: make one with Model(initial, step)"
        )
        raise TypeError(msg)
    answers = [_check(part, model) for part in _parts(history, model)]
    wrong = [answer for answer in answers if not answer]
    if wrong:
        return min(wrong, key=lambda answer: len(answer.order))
    order = tuple(operation for answer in answers for operation in answer.order)
    return Linearization(order, None, ())


def _parts(history: History, model: Model[S]) -> list[list[Operation]]:
    """Return the operations, each part of the object by itself."""
    if model.key is None:
        return [list(history.operations)]
    parts: dict[Hashable, list[Operation]] = {}
    for operation in history.operations:
        parts.setdefault(model.key(operation.name, operation.args), []).append(
            operation
        )
    return list(parts.values())


def _check(operations: list[Operation], model: Model[S]) -> Linearization:
    search = Search(operations, model)
    order, passed = search.order(len(search.ends))
    if order is not None:
        return Linearization(tuple(operations[n] for n in order), None, ())
    # Whatever a beginning explains, a shorter one explains, too.
    lengths = range(passed + 1, len(search.ends))
    shortest = passed + 1 + bisect_left(lengths, True, key=lambda n: not _ok(search, n))
    before, _ = search.order(shortest - 1)
    stuck = search.ends[shortest - 1]
    placed = tuple(operations[n] for n in before or ())
    return Linearization(placed, operations[stuck], tuple(search.explore(shortest)))


def _ok(search: Search[S], length: int) -> bool:
    return search.order(length)[0] is not None
