"""The tables of docs/performance.md, made from the stored results.

Each stands between two comments, ``<!-- figures: KEY -->`` and ``<!-- end -->``. So no
number on the page is typed by hand.
"""

from __future__ import annotations

import re
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.compare.clojure import NAME as CLOJURE
from benchmarks.compare.contestant import OURS
from benchmarks.compare.memory import BYTES, TITLES
from benchmarks.compare.period import CPU, WALL
from benchmarks.compare.transactions import LEDGERS
from benchmarks.compare.workloads import THREADS, WORKLOADS
from benchmarks.measure import ratios

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from benchmarks.compare.store import Cell, Results
    from benchmarks.compare.workloads import Workload

PAGE = Path(__file__).parent.parent.parent / "docs" / "performance.md"
BLOCK = re.compile(r"(<!-- figures: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)
#: What a cell of a table says of what there is no figure for.
NOTHING = "–"
ATOMICS = [one for one in WORKLOADS if one.contestants is not LEDGERS]
TRANSACTIONS = [one for one in WORKLOADS if one.contestants is LEDGERS]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; all columns but the first two are figures."""
    sides = ["---", "---", *["---:"] * (len(head) - 2)]
    lines = [f"| {' | '.join(line)} |" for line in (head, sides, *rows)]
    return "\n".join(lines)


def _number(value: float) -> str:
    """Return `value` with two digits or more."""
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"


def _time(seconds: float) -> str:
    """Return `seconds` in the unit that suits it."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def _by_threads(results: Results, workload: str) -> dict[int, Cell]:
    return {cell.threads: cell for cell in results.cells if cell.workload == workload}


def _ratios(cell: Cell, other: str, operation: str, measure: str) -> list[float]:
    """Return atomos / `other` of the rounds in which both finished one in time."""
    ours = cell.figures[OURS][operation][measure]
    theirs = cell.figures[other][operation][measure]
    pairs = [
        (a, b)
        for a, b in zip(ours, theirs, strict=True)
        if a is not None and b is not None
    ]
    return ratios([a for a, _ in pairs], [b for _, b in pairs])


def ratio(cell: Cell, other: str, operation: str) -> str:
    """Return atomos / `other` of CPU time: the median, the smallest and the largest."""
    if other not in cell.figures or OURS not in cell.figures:
        return NOTHING
    found = _ratios(cell, other, operation, CPU)
    if not found:
        starved = None in cell.figures[other][operation][CPU]
        return f"{other if starved else OURS}: none"
    words = f"**{_number(median(found))}** "
    words += f"({_number(min(found))}..{_number(max(found))})"
    rounds = len(cell.figures[OURS][operation][CPU])
    return words if len(found) == rounds else f"{words}, {len(found)} of {rounds}"


def ratio_table(every: Sequence[Results], workload: str, operation: str) -> str:
    """Return a table with a row for each interpreter and other contestant."""
    rows = []
    for results in every:
        cells = _by_threads(results, workload)
        names = {name: None for cell in cells.values() for name in cell.figures}
        for name in sorted(names, key=str.lower):
            if name != OURS:
                shown = [ratio(cell, name, operation) for cell in cells.values()]
                rows.append([results.interpreter, name, *shown])
    threads = [f"{n} thread{'s' * (n > 1)}" for n in THREADS]
    return _table(["Python", "atomos / …", *threads], rows)


def _range(cells: Iterable[Cell], other: str, operation: str, measure: str) -> str:
    """Return the smallest and the largest median of atomos / `other` in `cells`."""
    found = [
        _ratios(cell, other, operation, measure)
        for cell in cells
        if other in cell.figures
    ]
    medians = [median(values) for values in found if values]
    if not medians:
        return NOTHING
    return f"{_number(min(medians))}..{_number(max(medians))}"


def overview_table(
    every: Sequence[Results], workloads: Sequence[Workload], measure: str
) -> str:
    """Return a table of all that `workloads` were run with, over numbers of threads."""
    names = [name for name in (*workloads[0].contestants, CLOJURE) if name != OURS]
    rows = []
    for workload in workloads:
        for operation in workload.operations:
            for gil, words in (("on", "with"), ("off", "without")):
                cells = [
                    cell
                    for results in every
                    if results.machine.get("gil") == gil
                    for cell in results.cells
                    if cell.workload == workload.key and OURS in cell.figures
                ]
                shown = [_range(cells, name, operation, measure) for name in names]
                rows.append([f"{workload.key}: {operation}", words, *shown])
    return _table(["Workload", "GIL", *names], rows)


def time_table(every: Sequence[Results]) -> str:
    """Return a table of what atomos takes for one operation, absolutely."""
    rows = []
    for workload in WORKLOADS:
        for operation in workload.operations:
            for results in every:
                cells = _by_threads(results, workload.key).values()
                figures = [
                    cell.figures.get(OURS, {}).get(operation, {}).get(CPU, ())
                    for cell in cells
                ]
                shown = [
                    _time(median(timely)) if timely else NOTHING
                    for values in figures
                    for timely in [[one for one in values if one is not None]]
                ]
                what = f"{workload.key}: {operation}"
                rows.append([what, results.interpreter, *shown])
    return _table(["Workload", "Python", *map(str, THREADS)], rows)


def memory_table(every: Sequence[Results], key: str) -> str:
    """Return a table of bytes, with a column for each interpreter."""
    cells = [cell for one in every for cell in one.cells if cell.workload == key]
    names = {name: None for cell in cells for name in cell.figures}

    def shown(cell: Cell, name: str) -> str:
        values = [
            one
            for one in cell.figures.get(name, {}).get("memory", {}).get(BYTES, ())
            if one
        ]
        return f"{median(values):.0f}" if values else NOTHING

    rows = [[name, "bytes", *(shown(cell, name) for cell in cells)] for name in names]
    return _table([TITLES[key], "", *(one.interpreter for one in every)], rows)


def machine_table(every: Sequence[Results]) -> str:
    """Return a table of interpreters and what they ran on."""
    keys = (
        "python",
        "gil",
        "build",
        "processor",
        "cores",
        "system",
        "load before",
        "load after",
    )
    rows = [
        [one.interpreter, one.date[:10], *(one.machine.get(k, NOTHING) for k in keys)]
        for one in every
    ]
    return _table(["Python", "date", *keys], rows)


def versions_table(every: Sequence[Results]) -> str:
    """Return a table of the versions of what took part."""
    names = {name: None for results in every for name in results.versions}
    rows = [
        [name, "", *(one.versions.get(name, NOTHING) for one in every)]
        for name in names
    ]
    return _table(["Contestant", "", *(one.interpreter for one in every)], rows)


def missing_list(every: Sequence[Results]) -> str:
    """Return what was left out or failed, and why."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for results in every:
        for cell in results.cells:
            for name, why in cell.missing.items():
                where = found.setdefault((results.interpreter, name, why), [])
                if cell.workload not in where:
                    where.append(cell.workload)
    lines = [
        f"- Python {tag}, {name}: {why} ({', '.join(where)})"
        for (tag, name, why), where in found.items()
    ]
    return "\n".join(lines) or "- Nothing."


def blocks(every: Sequence[Results]) -> dict[str, str]:
    """Return key of a block -> what stands in it."""
    found = {
        "machine": machine_table(every),
        "versions": versions_table(every),
        "missing": missing_list(every),
        "overview-atomics": overview_table(every, ATOMICS, CPU),
        "overview-transactions": overview_table(every, TRANSACTIONS, CPU),
        "wall-atomics": overview_table(every, ATOMICS, WALL),
        "wall-transactions": overview_table(every, TRANSACTIONS, WALL),
        "times": time_table(every),
        **{key: memory_table(every, key) for key in TITLES},
    }
    for workload in WORKLOADS:
        for operation in workload.operations:
            table = ratio_table(every, workload.key, operation)
            found[f"{workload.key}/{operation}"] = table
    return found


def fill(text: str, every: Sequence[Results]) -> str:
    """Return `text` with the blocks made anew.

    Raises:
        KeyError: A comment names a block that there is not.
    """
    made = blocks(every)
    return BLOCK.sub(lambda block: f"{block[1]}\n{made[block[2]]}\n\n{block[3]}", text)
