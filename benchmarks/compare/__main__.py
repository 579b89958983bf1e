"""Compare atomos with others: ``python -m benchmarks.compare``."""

from __future__ import annotations

import argparse
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from benchmarks import table
from benchmarks.compare import interpreter, page, plots, store
from benchmarks.compare.memory import TITLES
from benchmarks.compare.runner import PERIOD, measure
from benchmarks.compare.workloads import WORKLOADS
from benchmarks.machine import describe, load
from benchmarks.measure import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

ROUNDS, QUICK_ROUNDS, QUICK_SCALE = 5, 2, 0.1
#: Every workload and kind of memory -> what it is.
ALL = {**{one.key: one.title for one in WORKLOADS}, **TITLES}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.compare",
        description="Compare atomos with other packages, with locks and with Clojure. "
        "A whole run is kept in benchmarks/results, from where --page takes it.",
    )
    add = parser.add_argument
    add("--only", metavar="PATTERN", default="", help="workloads whose key matches")
    add("--rounds", metavar="N", type=int, help=f"figures of each (default: {ROUNDS})")
    add("--quick", action="store_true", help="a tenth of the time, 2 rounds")
    add("--json", metavar="FILE", type=Path, help="keep the results there instead")
    add("--no-peers", action="store_true", help="compare with locks only")
    add("--list", action="store_true", help="list the workloads")
    add("--page", action="store_true", help="make plots and tables, measure nothing")
    return parser


def run(keys: Sequence[str], settings: Settings) -> store.Results:
    """Run the workloads `keys` here, showing how far it is."""
    date = datetime.now(UTC).isoformat(timespec="seconds")
    machine = {**describe(), "build": interpreter.build()}
    memory = any(key in TITLES for key in keys)
    steps = settings.rounds * (sum(key not in TITLES for key in keys) + memory)
    with table.progress(steps) as begin:
        cells, clojure = measure(keys, settings, begin)
    machine["load after"] = load()
    return store.Results(
        interpreter.tag(),
        date,
        machine,
        {**interpreter.versions(), **clojure},
        settings.rounds,
        PERIOD * settings.scale,
        cells,
    )


def make_page() -> None:
    """Make the plots and the tables of the page from what is stored."""
    every = store.read_all()
    for path in plots.draw(every):
        print(path)
    text = page.PAGE.read_text(encoding="utf-8")
    page.PAGE.write_text(page.fill(text, every), encoding="utf-8")
    print(page.PAGE)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for; return the exit status, 1 if a contestant failed."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.page:
        make_page()
        return 0
    try:
        keys = [key for key in ALL if re.search(options.only, key)]
    except re.error as error:
        parser.error(f"--only: {error}")
    if not keys:
        parser.error(f"--only: no workload matches {options.only!r}; see --list")
    if options.list:
        print("\n".join(f"{key:16} {ALL[key]}" for key in keys))
        return 0
    rounds = QUICK_ROUNDS if options.quick else ROUNDS
    if options.rounds is not None:
        rounds = options.rounds
    if rounds < 1:
        parser.error("--rounds must be 1 or more")
    scale, start = QUICK_SCALE if options.quick else 1.0, perf_counter()
    results = run(keys, Settings(rounds, scale, not options.no_peers))
    whole = len(keys) == len(ALL) and not options.quick and not options.no_peers
    path = options.json
    if path is None and whole:
        path = store.FOLDER / f"peers-{results.interpreter}.json"
    if path:
        store.write(path, results)
    for key, words in page.blocks([results]).items():
        if key.partition("/")[0] in {*keys, "missing"}:
            print(f"\n{key}\n{words}")
    print(f"The run took {perf_counter() - start:.0f} s; kept in: {path or 'nothing'}")
    reasons = [why for cell in results.cells for why in cell.missing.values()]
    return int(any(why.startswith("failed") for why in reasons))


if __name__ == "__main__":
    sys.exit(main())
