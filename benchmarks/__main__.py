"""Run the benchmarks: ``python -m benchmarks``."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from benchmarks import store, table
from benchmarks.machine import describe
from benchmarks.measure import Settings
from benchmarks.registry import chosen
from benchmarks.result import run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.result import Figure, Row, Work

ROUNDS, QUICK_ROUNDS, QUICK_SCALE = 9, 5, 0.1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure atomos against hand-written code and other packages. "
        "The exit status is 0 unless a measurement fails.",
    )
    add = parser.add_argument
    add("--only", metavar="PATTERN", default="", help="rows whose key or title matches")
    add("--rounds", metavar="N", type=int, help=f"figures per row (default: {ROUNDS})")
    add("--quick", action="store_true", help="a tenth of the work, 5 rounds")
    add("--json", metavar="FILE", type=Path, help="write the results to FILE, too")
    add("--no-peers", action="store_true", help="leave out the other packages")
    add("--strict", action="store_true", help="exit with 1 if a bound is missed")
    add("--list", action="store_true", help="list the rows and what must be")
    return parser


def measure(
    works: Sequence[tuple[Work, list[Row]]], settings: Settings
) -> list[tuple[Row, Figure]]:
    """Measure `works`, showing how far it is."""
    results: list[tuple[Row, Figure]] = []
    with table.progress(len(works)) as begin:
        for work, rows in works:
            begin(rows[0].title)
            figures = run(work, settings)
            results += [(row, figures[row.key]) for row in rows]
    return results


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmarks; return the exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        works = chosen(options.only)
    except re.error as error:
        parser.error(f"--only: {error}")
    if not works:
        parser.error(f"--only: no row matches {options.only!r}; see --list")
    if options.list:
        for row in (row for _, rows in works for row in rows):
            print(f"{row.key:20} {row.title}: {row.bound}")
        return 0
    rounds = QUICK_ROUNDS if options.quick else ROUNDS
    if options.rounds is not None:
        rounds = options.rounds
    if rounds < 1:
        parser.error("--rounds must be 1 or more")
    scale = QUICK_SCALE if options.quick else 1.0
    settings = Settings(rounds, scale, not options.no_peers)
    machine, start = describe(), perf_counter()
    results = measure(works, settings)
    print(", ".join(f"{key}: {value}" for key, value in machine.items()))
    table.show(results)
    print(
        f"Medians of {rounds} rounds in turns, and the smallest and largest round. "
        "One thread: CPU time;\nseveral: time on the wall. "
        f"The run took {perf_counter() - start:.0f} s."
    )
    if options.json:
        store.write(options.json, machine, settings, results)
    verdicts = {figure.verdict(row.bound) for row, figure in results}
    bad = {"FAILED", "MISSED"} if options.strict else {"FAILED"}
    return 1 if verdicts & bad else 0


if __name__ == "__main__":
    sys.exit(main())
