"""All that is measured, in the order of the table."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from benchmarks import (
    rows_calls,
    rows_kit,
    rows_memory,
    rows_processes,
    rows_snapshot,
    rows_threads,
    rows_transfer,
    rows_waiting,
)

if TYPE_CHECKING:
    from benchmarks.result import Row, Work

WORKS: tuple[Work, ...] = (
    *rows_calls.WORKS,
    *rows_transfer.WORKS,
    *rows_threads.WORKS,
    *rows_memory.WORKS,
    *rows_snapshot.WORKS,
    *rows_waiting.WORKS,
    *rows_kit.WORKS,
    *rows_processes.WORKS,
)


def chosen(pattern: str) -> list[tuple[Work, list[Row]]]:
    """Return the works with a row whose key or title has `pattern`, and those rows."""
    wanted = re.compile(pattern, re.IGNORECASE)
    found = [
        (work, [row for row in work.rows if wanted.search(f"{row.key} {row.title}")])
        for work in WORKS
    ]
    return [(work, rows) for work, rows in found if rows]
