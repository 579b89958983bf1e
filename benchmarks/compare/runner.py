"""Running all of it on one interpreter, round by round.

Each round of a workload has a process of its own: how well the interpreter's caches
work differs by process. In it the contestants take turns at each number of threads,
so that what is compared was measured within a second or two.
"""

from __future__ import annotations

import gc
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

from benchmarks.compare.clojure import NAME as CLOJURE
from benchmarks.compare.clojure import Clojure
from benchmarks.compare.contestant import NOT_WANTED, OWN
from benchmarks.compare.memory import BYTES, TITLES, memory_round
from benchmarks.compare.period import spend
from benchmarks.compare.store import Cell
from benchmarks.compare.workloads import THREADS, WORKLOADS
from benchmarks.machine import gil_enabled
from benchmarks.peers import PeerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from benchmarks.compare.period import Figures
    from benchmarks.compare.workloads import Workload
    from benchmarks.measure import Settings

    #: Operation -> measure -> seconds for one; or why there are none.
    Outcome = dict[str, Figures] | str

#: Seconds that one contestant works at one number of threads. With the GIL nine
#: threads, of which each runs for 5 ms, take five turns in it.
PERIOD = 0.25
BY_KEY = {workload.key: workload for workload in WORKLOADS}


def seconds_of(workload: Workload, settings: Settings) -> float:
    """Return how long one contestant works for one figure."""
    return PERIOD * workload.periods * settings.scale


def tried(workload: Workload, name: str, threads: int, seconds: float) -> Outcome:
    """Return the outcome of one trial of one contestant."""
    try:
        trial = workload.prepare(workload.contestants[name](), threads)
        gc.collect()
        figures = spend(seconds, trial.workers)
        trial.check()
    except PeerError as error:
        return f"not here: {error}"
    except Exception as error:
        return f"failed: {type(error).__name__}: {error}"
    return figures


def one_round(
    key: str, number: int, settings: Settings
) -> dict[int, dict[str, Outcome]]:
    """Return one round of a workload: threads -> contestant -> outcome.

    Args:
        key: Of the workload.
        number: Of the round; another contestant begins in each.
        settings: How long, and whether with other packages.
    """
    workload = BY_KEY[key]
    names = list(workload.contestants)
    names = names[number % len(names) :] + names[: number % len(names)]
    had_gil, seconds = gil_enabled(), seconds_of(workload, settings)
    found: dict[int, dict[str, Outcome]] = {}
    here = [name for name in names if settings.use_peers or name in OWN]
    for name in here:
        tried(workload, name, 1, seconds / 5)  # to warm up
    for threads in THREADS:
        found[threads] = dict.fromkeys(names, f"not here: {NOT_WANTED}")
        for name in here:
            found[threads][name] = tried(workload, name, threads, seconds)
    if gil_enabled() != had_gil:
        raise RuntimeError("a package has switched the GIL on: leave it out")
    return found


class Cells:
    """The cells as they fill, round by round."""

    def __init__(self) -> None:
        self._cells: dict[tuple[str, int], Cell] = {}

    def add(self, workload: str, threads: int, name: str, outcome: Outcome) -> None:
        """Add the outcome of one contestant; who fails once has no figures at all."""
        cell = self._cells.setdefault((workload, threads), Cell(workload, threads))
        if isinstance(outcome, str):
            cell.missing[name] = outcome
            cell.figures.pop(name, None)
        elif name not in cell.missing:
            mine = cell.figures.setdefault(name, {})
            for operation, figures in outcome.items():
                lists = mine.setdefault(operation, {measure: [] for measure in figures})
                for measure, figure in figures.items():
                    lists[measure].append(figure)

    def all(self) -> list[Cell]:
        """Return the cells in the order of their first figures."""
        return list(self._cells.values())


@contextmanager
def _clojure(settings: Settings) -> Iterator[tuple[Clojure | None, str]]:
    """Give Clojure, or None and why it is not there."""
    try:
        if not settings.use_peers:
            raise PeerError(NOT_WANTED)
        process = Clojure()
    except PeerError as error:
        yield None, f"not here: {error}"
        return
    with process:
        yield process, ""


def _asked(
    clojure: Clojure | None, why: str, workload: str, threads: int, seconds: float
) -> Outcome:
    if clojure is None:
        return why
    try:
        return clojure.ask(workload, threads, seconds)
    except PeerError as error:
        return f"failed: {error}"


def _add_memory(
    cells: Cells, found: dict[str, dict[str, float | str]], clojure: Outcome
) -> None:
    """Add a round of memory, of which Clojure's is all in one."""
    for key in TITLES:
        for name, figure in found[key].items():
            if isinstance(figure, str):
                cells.add(key, 1, name, f"not here: {figure}")
            else:
                cells.add(key, 1, name, {"memory": {BYTES: figure}})
        mine = clojure if isinstance(clojure, str) else {"memory": clojure[key]}
        cells.add(key, 1, CLOJURE, mine)


def measure(
    keys: Sequence[str], settings: Settings, begin: Callable[[str], None]
) -> tuple[list[Cell], dict[str, str]]:
    """Run workloads and memory; return the cells, and the versions of Clojure.

    Args:
        keys: What to run, of `WORKLOADS` and of `TITLES`.
        settings: How many rounds, how long, and whether with other packages.
        begin: Called with a name before each step, of which there are rounds x keys.
    """
    cells = Cells()
    context: Any = get_context("spawn")
    with (
        _clojure(settings) as (clojure, why),
        ProcessPoolExecutor(1, mp_context=context, max_tasks_per_child=1) as processes,
    ):
        for number in range(settings.rounds):
            for key in [key for key in keys if key not in TITLES]:
                begin(f"round {number + 1}: {key}")
                seconds = seconds_of(BY_KEY[key], settings)
                found = processes.submit(one_round, key, number, settings).result()
                for threads, outcomes in found.items():
                    outcomes[CLOJURE] = _asked(clojure, why, key, threads, seconds)
                    for name, outcome in outcomes.items():
                        cells.add(key, threads, name, outcome)
            if set(keys) & set(TITLES):
                begin(f"round {number + 1}: memory")
                memory = processes.submit(memory_round, settings).result()
                _add_memory(cells, memory, _asked(clojure, why, "memory", 0, 0))
        return cells.all(), {} if clojure is None else clojure.versions
