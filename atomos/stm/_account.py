"""What one transaction has lost and waited for, told by the errors that end it.

It is made when an attempt is lost or a wait begins, never before. So a transaction
that commits at once pays nothing for it, and the time of its first attempt is not
known if that was not bounded by a timeout.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from atomos.stm._causes import Cause

__all__ = ["Account"]

#: How many different refs are counted, and how many of them a note names.
REFS, NAMED = 100, 5


class Account:
    """The lost attempts and the waits of one transaction.

    Attributes:
        causes: How often attempts have ended by each cause, in order of the first.
        refs: How many of them were lost because of each ref, by what messages call
            it. At most `REFS` are counted.
        made: `time.monotonic()` seconds when this began.
        waited: Seconds of the waits that have ended.
        since: When the wait under way began; None while there is none.
    """

    __slots__ = ("causes", "made", "refs", "since", "waited")

    def __init__(self) -> None:
        self.causes: dict[Cause, int] = {}
        self.refs: dict[str, int] = {}
        self.made = monotonic()
        self.waited = 0.0
        self.since: float | None = None

    def lost(self, cause: Cause, ref: str | None) -> None:
        """Count an attempt that has ended without a commit.

        Args:
            cause: Why.
            ref: What messages call the ref that it was lost to, if it was one.
        """
        self.causes[cause] = self.causes.get(cause, 0) + 1
        if ref is not None and (ref in self.refs or len(self.refs) < REFS):
            self.refs[ref] = self.refs.get(ref, 0) + 1

    def starts_waiting(self) -> None:
        """Note that a wait begins."""
        self.since = monotonic()

    def has_waited(self) -> None:
        """Note that the wait has ended."""
        if self.since is not None:
            self.waited += monotonic() - self.since
            self.since = None

    def note(self, began: float | None) -> str:
        """Return all of it in words.

        Args:
            began: `time.monotonic()` seconds when the transaction began, if known.
        """
        now = monotonic()
        waited = self.waited + (0.0 if self.since is None else now - self.since)
        spent = now - (self.made if began is None else began) - waited
        lost = [f"{count} {cause.value}" for cause, count in self.causes.items()]
        lines = [f"attempts that ended: {', '.join(lost) or 'none'}"]
        if self.refs:
            most = sorted(self.refs.items(), key=lambda item: -item[1])
            lines.append(f"lost to: {', '.join(f'{r}: {n}' for r, n in most[:NAMED])}")
        what = "in attempts"
        if began is None:
            what += " since the first loss or wait (all are timed only with a timeout)"
        lines.append(f"seconds: {max(spent, 0.0):.3f} {what}, {waited:.3f} waiting")
        return "\n".join(lines)
