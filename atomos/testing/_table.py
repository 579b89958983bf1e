"""The steps of a run, and their table.

Nothing in it depends on addresses or hashes: what has no name gets one by the order
in which it was first touched, and what has no order is shown in one.
"""

from __future__ import annotations

import re
from reprlib import Repr
from typing import TYPE_CHECKING, Any, NamedTuple

from atomos.testing._records import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from atomos.stm._cell import Cell

__all__ = ["Names", "Step", "bounded", "shortly", "table"]

#: Characters of a value in the table.
WIDTH = 40
#: Rows of a table that is shown in full, and rows beside each switch of a longer one.
FULL, AROUND = 200, 3
#: Cut out of values: they differ from run to run.
ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
HEAD = ("step", "", "thread", "operation", "ref", "value")

#: A set with more elements is not put in order.
LARGE = 100


class _Alike(Repr):
    """Shows equal values alike, whatever the hashes are."""

    def repr_frozenset(self, value: frozenset[object], level: int) -> str:
        return self._set("frozenset", value, level)

    def repr_set(self, value: set[object], level: int) -> str:
        return self._set("set", value, level)

    def _set(self, kind: str, value: Iterable[object], level: int) -> str:
        elements = list(value)
        if not elements:
            return f"{kind}()"
        if level <= 0 or len(elements) > LARGE:
            return f"{kind}(<{len(elements)} elements>)"
        texts = sorted(self.repr1(one, level - 1) for one in elements)
        inner = f"{{{', '.join(texts)}}}"
        return inner if kind == "set" else f"{kind}({inner})"


_repr = _Alike()
_repr.maxstring = _repr.maxother = _repr.maxlong = WIDTH


def bounded(value: object) -> str:
    """Return the `repr` of `value` without addresses, cut to `WIDTH`."""
    try:
        text = _repr.repr(value)
    except Exception as error:
        text = f"<its repr raises {type(error).__name__}>"
    return shortly(text)


def shortly(value: object) -> str:
    """Return a text, or the `repr` of a number, on one line and cut to `WIDTH`."""
    if not isinstance(value, str):
        return bounded(value)
    text = " ".join(ADDRESS.sub("", value).split())
    return text if len(text) <= WIDTH else text[: WIDTH - 3] + "..."


class Step(NamedTuple):
    """One step of a run, in the order in which they happened.

    Attributes:
        thread: Number and name of the thread.
        operation: What it did.
        ref: The name of what it did it to; "" if that was nothing named.
        value: What came out, in words; "" if nothing did.
        switched: The thread before it could have gone on.

    Example:
        >>> from atomos import Atom
        >>> from atomos.testing import Schedule, run_interleaved
        >>> stock = Atom(7, name="stock")
        >>> step = run_interleaved(Schedule(), stock.deref).steps[0]
        >>> step.thread, step.operation, step.ref, step.value, step.switched
        ('0 deref', 'deref', 'stock', '7', False)
    """

    thread: str
    operation: str
    ref: str
    value: str
    switched: bool


class Names:
    """What messages and tables call cells.

    Attributes:
        known: Cell -> name, in the order of first touch.
        counts: How many of each type have got a number.
    """

    __slots__ = ("_counts", "_known")

    def __init__(self) -> None:
        self._known: dict[Cell[Any], str] = {}
        self._counts: dict[str, int] = {}

    def __getitem__(self, cell: Cell[Any]) -> str:
        """Return the name of `cell`, which is touched for the first time or again."""
        name = self._known.get(cell)
        if name is None:
            extras = cell._extras
            name = None if extras is None else extras.name
            if name is None:
                kind = type(cell).__name__
                count = self._counts[kind] = self._counts.get(kind, 0) + 1
                name = f"{kind}#{count}"
            name = self._known[cell] = printable(name)
        return name

    def all(self, cells: Iterable[Cell[Any]]) -> str:
        """Return the names of some cells, in a row."""
        return ", ".join(self[cell] for cell in cells)

    def within(self, text: str) -> str:
        """Return `text` with the names for the engine's labels of cells."""
        for cell, name in self._known.items():
            text = text.replace(cell._label(), name)
        return ADDRESS.sub("", text)


def table(steps: Sequence[Step]) -> str:
    """Return the steps as aligned text.

    A switch, from a thread that could have gone on, is marked with ">". Of a long
    run only what is near the switches, the begin and the end is shown.
    """
    rows: list[tuple[str, ...]] = [HEAD]
    before = -1
    for index in _shown(steps):
        if index != before + 1:
            rows.append(("...", "", "", "", "", ""))
        before, step = index, steps[index]
        mark = ">" if step.switched else ""
        rows.append((str(index + 1), mark, *step[:4]))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            text.rjust(width) if not number else text.ljust(width)
            for number, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def _shown(steps: Sequence[Step]) -> list[int]:
    """Return the indices of the steps to show."""
    count = len(steps)
    if count <= FULL:
        return list(range(count))
    near = [0, count - 1, *(i for i in range(count) if steps[i].switched)]
    found = {
        index
        for place in near[: FULL // AROUND]
        for index in range(max(0, place - AROUND), min(count, place + AROUND + 1))
    }
    return sorted(found)
