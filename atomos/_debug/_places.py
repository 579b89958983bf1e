"""Which line of the user's code is running.

A frame is the user's if its file belongs neither to Python's own library, nor to an
installed package, nor to this library. Where there is none, an installed package is
better than nothing.
"""

from __future__ import annotations

import os
import sys
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

__all__ = ["Place", "frames", "innermost", "is_installed", "place"]

#: A file and a line.
Place = tuple[str, int]

_OURS: Final = os.path.dirname(os.path.dirname(__file__)) + os.sep
_PYTHON: Final = os.path.dirname(os.__file__) + os.sep
_INSTALLED: Final = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")
_USER, _PACKAGE, _LIBRARY = range(3)


@lru_cache(maxsize=4096)
def _rank(file: str) -> int:
    """Return how far away from the user's code `file` is."""
    if file.startswith((_OURS, "<frozen ")):
        return _LIBRARY
    if any(part in file for part in _INSTALLED):
        return _PACKAGE
    return _LIBRARY if file.startswith(_PYTHON) else _USER


def is_installed(file: str) -> bool:
    """Whether `file` is not the user's own."""
    return _rank(file) != _USER


def frames() -> Iterator[FrameType]:
    """Yield the frames of this thread that are not of this library, innermost first."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if not frame.f_code.co_filename.startswith(_OURS):
            yield frame
        frame = frame.f_back


def innermost() -> FrameType | None:
    """Return the innermost frame of the user, or that of a package, or any.

    Cost: O(depth of the stack) in the worst case.
    """
    found, best = None, _LIBRARY + 1
    for frame in frames():
        rank = _rank(frame.f_code.co_filename)
        if rank < best:
            found, best = frame, rank
            if rank == _USER:
                break
    return found


def place() -> Place | None:
    """Return where the user's code is; None if only Python's own library runs."""
    frame = innermost()
    if frame is None or _rank(frame.f_code.co_filename) == _LIBRARY:
        return None
    return frame.f_code.co_filename, frame.f_lineno
