"""The categories of what is reported and not raised, and how it is reported."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["EffectWarning", "WriteSkewWarning", "report"]


class EffectWarning(UserWarning):
    """A transaction that may run again has opened a file, socket or process.

    It would be opened again with each attempt. Do it before the transaction or after
    the commit, or use a plain block.

    Example:
        >>> import os, warnings
        >>> from atomos import atomically, debug
        >>> debug.enable(mutation=False, skew=False)
        >>> with warnings.catch_warnings(record=True) as found:
        ...     warnings.simplefilter("always")
        ...     atomically(lambda: open(os.devnull).close())
        >>> [one.category.__name__ for one in found]
        ['EffectWarning']
        >>> debug.disable()
    """


class WriteSkewWarning(UserWarning):
    """A commit with ``isolation="snapshot"`` that the default would have refused.

    What it had read was changed by another transaction before it committed. Leave
    `isolation` out, or read with `ensure` what must not change.

    Example:
        >>> import warnings
        >>> from atomos import Ref, atomically, debug, dosync, outside
        >>> ann, bob = Ref("on duty"), Ref("on duty")
        >>> @dosync(isolation="snapshot")
        ... def ann_leaves():
        ...     if bob.deref() == "on duty":
        ...         outside(atomically, bob.set, "home")  # as another thread might
        ...         ann.set("home")
        >>> debug.enable(mutation=False, effects=False)
        >>> with warnings.catch_warnings(record=True) as found:
        ...     warnings.simplefilter("always")
        ...     ann_leaves()
        >>> [one.category.__name__ for one in found], ann, bob
        (['WriteSkewWarning'], Ref('home'), Ref('home'))
        >>> debug.disable()
    """


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
