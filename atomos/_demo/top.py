"""``python -m atomos top``: the hottest transactions and refs of a bank at work."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from atomos._demo import screen
from atomos._demo.bank import Bank, at_work
from atomos._demo.run import short_turns
from atomos.stm import collecting
from atomos.stm._figures import HEAD, NAMED, REFS_HEAD, rows

if TYPE_CHECKING:
    from atomos.stm import Collected, Statistics

__all__ = ["top"]

#: Seconds between two looks.
REFRESH = 0.5
#: Seconds that are counted for one look.
SNAPSHOT = 1.0


def top(threads: int, seconds: float | None, *, once: bool) -> int:
    """Show what threads of a bank do, until Ctrl-C.

    Args:
        threads: How many there are.
        seconds: When to stop; None for not at all, or after `SNAPSHOT` if `once`.
        once: Show it once, at the end.

    Returns:
        The exit status.
    """
    bank = Bank()
    with short_turns(), collecting() as collected:
        try:
            with at_work(bank, threads):
                if once:
                    time.sleep(SNAPSHOT if seconds is None else seconds)
                else:
                    _watch(collected, seconds)
        except KeyboardInterrupt:
            pass  # the usual way to end it
    if once:
        screen.say(collected.statistics().table())
    return 0


def _watch(collected: Collected, seconds: float | None) -> None:
    """Show the counts again and again."""
    end = None if seconds is None else time.monotonic() + seconds
    with screen.live() as show:
        while end is None or time.monotonic() < end:
            left = REFRESH if end is None else end - time.monotonic()
            time.sleep(max(0.0, min(REFRESH, left)))
            found = collected.statistics()
            show(found.table(), tables_of(found))


def tables_of(found: Statistics) -> list[screen.Cells]:
    """Return the tables of a look: transactions, and refs."""
    refs = [(ref, f"{times:,}") for ref, times in found.conflicts().items()]
    return [(HEAD, rows(found)), (REFS_HEAD, refs[:NAMED])]
