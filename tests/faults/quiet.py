"""Errors that the engine reports, counted and not printed."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager


class Reports(logging.Filter):
    """Counts what is reported to the logger `atomos`, and lets nothing through."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def filter(self, record: logging.LogRecord) -> bool:
        self.count += 1
        return False


@contextmanager
def in_silence() -> Iterator[Reports]:
    """Let finalizers be interrupted, and hooks raise, without a word."""
    logger, hook, reports = logging.getLogger("atomos"), sys.unraisablehook, Reports()
    logger.addFilter(reports)
    sys.unraisablehook = lambda args: None
    try:
        yield reports
    finally:
        logger.removeFilter(reports)
        sys.unraisablehook = hook
