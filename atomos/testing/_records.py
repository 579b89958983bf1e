"""What a history is made of: operations and transactions, and how they are shown.

A *position* is a place in the one order in which all began and ended. Of two things
the first has ended before the second has begun if and only if its `returned` is below
the other's `invoked`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from atomos.stm._cell import Cell

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

__all__ = [
    "Append",
    "Operation",
    "Read",
    "Transaction",
    "label",
    "outcome",
    "printable",
    "shown",
]

#: A list that is longer than this is shown by its end.
SHOWN = 8


class Append(NamedTuple):
    """A step of a transaction: it appended `element` to the list of `key`."""

    key: Hashable
    element: Hashable


class Read(NamedTuple):
    """A step of a transaction: it read the list of `key` as `value`."""

    key: Hashable
    value: tuple[Hashable, ...]


@dataclass(frozen=True, slots=True)
class Operation:
    """One call: who made it, when, and how it came out.

    Attributes:
        thread: The name of the thread.
        name: What was called.
        args: With which arguments.
        result: What it returned; None if it raised or is pending.
        error: What it raised, if it did.
        invoked: The position of its begin.
        returned: The position of its end; None if it is pending: it has not ended,
            or in a way that leaves open whether it took effect.
    """

    thread: str
    name: str
    args: tuple[Any, ...]
    result: Any
    error: BaseException | None
    invoked: int
    returned: int | None

    def __str__(self) -> str:
        """Show it as a call with its outcome: ``put('x', 1) -> None in main``."""
        args = ", ".join(map(repr, self.args))
        pending = self.returned is None
        ended = "?" if pending else outcome(self.result, self.error)
        return printable(f"{self.name}({args}) -> {ended} in {self.thread}")


@dataclass(frozen=True, slots=True)
class Transaction:
    """One transaction: what the attempt that counts did, and how it ended.

    Attributes:
        name: What messages call it; no other one of its history has that name.
        steps: What it read and appended, in its order.
        lost: What its earlier attempts appended, which has not happened.
        committed: Whether it took effect; None if that is not known.
        invoked: The position of its begin.
        returned: The position of its end; None if `committed` is None.
    """

    name: str
    steps: tuple[Read | Append, ...]
    lost: tuple[Append, ...]
    committed: bool | None
    invoked: int
    returned: int | None

    def __str__(self) -> str:
        """Show its name."""
        return printable(self.name)


def outcome(result: object, error: BaseException | None) -> str:
    """Return in words how a call came out."""
    return repr(result) if error is None else f"raised {error!r}"


def label(key: Hashable) -> str:
    """Return what messages call a key: a string as it is, a ref by its name."""
    if isinstance(key, Cell):
        return key._label()
    return printable(key) if isinstance(key, str) else repr(key)


def printable(name: str) -> str:
    """Return `name` on one line: what cannot be printed is escaped, as by `repr`."""
    return name if name.isprintable() else repr(name)[1:-1]


def shown(value: Sequence[Hashable]) -> str:
    """Return a list as it is shown: of a long one the end."""
    if len(value) <= SHOWN:
        return repr(list(value))
    return "[..., " + repr(list(value[-SHOWN:]))[1:]
