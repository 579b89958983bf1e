"""Keeping the results of one interpreter as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "results"


@dataclass
class Cell:
    """What was measured of one workload at one number of threads.

    Attributes:
        workload: Its key.
        threads: How many.
        figures: Contestant -> operation -> measure -> a figure for each round: seconds
            for one operation, or bytes; None where none was finished in time.
        missing: Contestant -> why it has no figures.
    """

    workload: str
    threads: int
    figures: dict[str, dict[str, dict[str, list[float | None]]]] = field(
        default_factory=dict
    )
    missing: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Results:
    """A whole run.

    Attributes:
        interpreter: The tag of its version, such as ``3.13t``.
        date: Of the run.
        machine: What it ran on, in words.
        versions: Of what took part.
        rounds: Figures for each contestant.
        seconds: How long each worked for one figure.
        cells: The figures.
    """

    interpreter: str
    date: str
    machine: dict[str, str]
    versions: dict[str, str]
    rounds: int
    seconds: float
    cells: list[Cell]


def write(path: Path, results: Results) -> None:
    """Write `results` to `path`, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(results), indent=1) + "\n", encoding="utf-8")


def read(path: Path) -> Results:
    """Return what `write` wrote to `path`."""
    content = json.loads(path.read_text(encoding="utf-8"))
    cells = [Cell(**cell) for cell in content.pop("cells")]
    return Results(**content, cells=cells)


def read_all(folder: Path = FOLDER) -> list[Results]:
    """Return the stored results of each interpreter, in the order of their versions."""
    found = [read(path) for path in folder.glob("peers-*.json")]
    return sorted(found, key=lambda results: _order(results.interpreter))


def _order(tag: str) -> tuple[int, int, str]:
    major, minor = tag.rstrip("t").split(".")
    return int(major), int(minor), tag
