"""The plots of docs/performance.md, made from the stored results with matplotlib."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.compare.period import WALL
from benchmarks.compare.workloads import THREADS, WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.compare.store import Results
    from benchmarks.compare.workloads import Workload

FOLDER = Path(__file__).parent.parent.parent / "docs" / "pictures" / "performance"
#: The same colour for a contestant in all plots; the like have the like.
COLOURS = {
    "atomos": "#d62728",
    "atomos LongAdder": "#ff7f0e",
    "atomos 0.3.1": "#ff9896",
    "cereggii": "#1f77b4",
    "ft_utils": "#17becf",
    "lock": "#7f7f7f",
    "ordered locks": "#7f7f7f",
    "global lock": "#c7c7c7",
    "stm": "#9467bd",
    "Clojure": "#2ca02c",
}


def _curve(axes: Any, results: Results, workload: Workload, name: str) -> None:
    """Draw operations per second of one contestant, where there are any."""
    threads, middle, below, above = [], [], [], []
    for cell in results.cells:
        if cell.workload != workload.key or name not in cell.figures:
            continue
        figures = cell.figures[name][workload.operations[0]][WALL]
        rates = [1 / seconds for seconds in figures if seconds]
        if rates:
            threads.append(cell.threads)
            middle.append(median(rates))
            below.append(median(rates) - min(rates))
            above.append(max(rates) - median(rates))
    style = {"color": COLOURS[name], "marker": "o", "markersize": 4}
    if threads:
        axes.errorbar(threads, middle, yerr=(below, above), label=name, **style)


def _draw(every: Sequence[Results], workload: Workload, path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2.7 * len(every) + 1.6, 3.0), layout="constrained")
    rows = figure.subplots(1, len(every), sharey=True, squeeze=False)
    for axes, results in zip(rows[0], every, strict=True):
        for name in COLOURS:
            _curve(axes, results, workload, name)
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.minorticks_off()  # half of the file
        axes.set_xticks(THREADS, map(str, THREADS))
        axes.set_title(f"Python {results.interpreter}", fontsize=10)
        axes.set_xlabel("threads")
        axes.grid(alpha=0.3)
    rows[0][0].set_ylabel(f"{workload.operations[0]}s per second")
    shown: dict[str, Any] = {}
    for axes in rows[0]:
        handles, labels = axes.get_legend_handles_labels()
        shown.update(zip(labels, handles, strict=True))
    figure.legend(
        list(shown.values()), list(shown), loc="outside right center", fontsize=8
    )
    figure.savefig(path, metadata={"Date": None})


def draw(every: Sequence[Results], folder: Path = FOLDER) -> list[Path]:
    """Draw one SVG file for each workload; return their paths.

    Raises:
        ImportError: There is no matplotlib; the extra plots has it.
    """
    import matplotlib as mpl

    # Text stays text, and the same figures make the same file.
    settings: Any = {"svg.fonttype": "none", "svg.hashsalt": "atomos"}
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{workload.key}.svg" for workload in WORKLOADS]
    with mpl.rc_context(settings):
        for workload, path in zip(WORKLOADS, paths, strict=True):
            _draw(every, workload, path)
    return paths
