"""The categories of what is reported and not raised, and how it is reported."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["EffectWarning", "WriteSkewWarning", "report"]


class EffectWarning(UserWarning):
    """A transaction that may run again has opened a file, socket or process."""


class WriteSkewWarning(UserWarning):
    """A commit with ``isolation="snapshot"`` that the default would have refused."""


def report(message: str, category: type[Warning], frame: FrameType | None) -> None:
    """Warn at the line that `frame` is on; where there is no frame, at none.

    Raises:
        Warning: The filters make an error of it.
    """
    if frame is None:
        warnings.warn_explicit(message, category, "<unknown>", 0)
        return
    names = frame.f_globals
    warnings.warn_explicit(
        message,
        category,
        frame.f_code.co_filename,
        frame.f_lineno,
        names.get("__name__", "<unknown>"),
        names.setdefault("__warningregistry__", {}),
    )
