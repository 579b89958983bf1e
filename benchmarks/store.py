"""Writing results to a JSON file."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from benchmarks.measure import Settings
    from benchmarks.result import Figure, Row
    from benchmarks.table import Results


def as_dict(row: Row, figure: Figure) -> dict[str, Any]:
    """Return one row of the file."""
    values = list(figure.values)
    return {
        "key": row.key,
        "title": row.title,
        "bound": str(row.bound),
        "measured": figure.representative(row.bound) if values else None,
        "rounds": values,
        "verdict": figure.verdict(row.bound),
        "for orientation only": figure.beside,
        "missing": figure.missing,
    }


def write(
    path: Path, machine: Mapping[str, str], settings: Settings, results: Results
) -> None:
    """Write `results` to `path`, making its folder."""
    content = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": dict(machine),
        "settings": {"rounds": settings.rounds, "scale": settings.scale},
        "rows": [as_dict(row, figure) for row, figure in results],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
