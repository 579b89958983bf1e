"""What only some attempts have: hooks, and later what they bring with them.

It is made when it is first needed and lies in one slot of the attempt, so that one
which uses none of it pays for a look at that slot.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["AFTER_COMMIT", "AFTER_ROLLBACK", "BEFORE_COMMIT", "Journal", "run_hooks"]

#: When a hook runs.
BEFORE_COMMIT: Final = "before_commit"
AFTER_COMMIT: Final = "after_commit"
AFTER_ROLLBACK: Final = "after_rollback"

_logger = logging.getLogger("atomos")


class Journal:
    """What only some attempts have.

    Attributes:
        hooks: When they run, and the functions, in the order in which they came.
    """

    __slots__ = ("hooks",)

    def __init__(self) -> None:
        self.hooks: list[tuple[str, Callable[[], object]]] = []


def run_hooks(journal: Journal, when: str) -> None:
    """Run the hooks of an attempt that has ended, outside of it.

    An `Exception` is reported. What is no `Exception` is raised when all have run.
    """
    stopped: BaseException | None = None
    for kind, fn in journal.hooks:
        if kind == when:
            try:
                fn()
            except Exception:
                _logger.exception("a function given to %s raised", when)
            except BaseException as error:
                stopped = stopped or error
    if stopped is not None:
        raise stopped
