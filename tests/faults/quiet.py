"""Errors that the engine reports, counted and not printed."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager


class Reports(logging.Filter):
    """Counts what atomos or a pool of its agents reports, and prints nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def filter(self, record: logging.LogRecord) -> bool:
        self.count += 1
        return False


@contextmanager
def in_silence() -> Iterator[Reports]:
    """Let finalizers be interrupted, and hooks raise, without a word."""
    loggers = [logging.getLogger(name) for name in ("atomos", "concurrent.futures")]
    hook, reports = sys.unraisablehook, Reports()
    for logger in loggers:
        logger.addFilter(reports)
    sys.unraisablehook = lambda args: None
    try:
        yield reports
    finally:
        for logger in loggers:
            logger.removeFilter(reports)
        sys.unraisablehook = hook
