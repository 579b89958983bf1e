"""What one may hear of an attempt: that it began, how it ended, what was waited for.

An attempt has begun when `Transaction.begin` returns, so what that waits for comes
before the attempt. It has ended when `commit` returns, or `finish` was called without
that. A call inside of a running transaction is a part of the attempt of that.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from atomos.stm._causes import Cause, Wait
    from atomos.stm._transaction import Transaction

__all__ = ["Attempt", "Listener"]


class Attempt:
    """What is known of one attempt of a transaction.

    The fields of the class are those of an attempt of which nothing else is known: to
    store only what differs is faster than an ``__init__``.

    Attributes:
        listeners: Who hears of it: those that listened when it was about to begin.
        start: `time.perf_counter_ns` when it began; 0 while it waits for that.
        waited: Nanoseconds of its waits, after it has begun.
        culprit: The number of the commit that it lost to; 0 if that is not known.
        left: Its block was left, by an exception of the class `kind`, if any.
        dropped: Its block was dropped without being left.
        notes: What a listener has noted of it. Replaced as a whole.
    """

    listeners: tuple[Listener, ...]
    start = 0
    waited = 0
    culprit = 0
    left = False
    kind: type[BaseException] | None = None
    dropped = False
    notes: Mapping[Listener, Any] = MappingProxyType({})


class Listener:
    """Hears of attempts, in the thread that runs them. It must not raise."""

    #: Whether `begins` is called.
    hears_begin = False

    def begins(self, tx: Transaction, attempt: Attempt) -> None:
        """Hear that `attempt` of `tx` is about to begin; it may have to wait."""

    def ended(
        self, tx: Transaction, attempt: Attempt, cause: Cause, ref: str | None, end: int
    ) -> None:
        """Hear that `attempt` of `tx` ended at `end`, lost to `ref` if it is known."""

    def failed(self, tx: Transaction, attempt: Attempt, cause: Cause) -> None:
        """Hear that `tx` has ended for good without a commit.

        If that was between two attempts, `attempt` has not begun, and `ended` was not
        called for it.
        """

    def waited(
        self,
        tx: Transaction,
        attempt: Attempt,
        wait: Wait,
        what: str,
        culprit: int,
        times: tuple[int, int],
    ) -> None:
        """Hear that `tx` has waited for `what`, and which commit ended that, if any."""

    def forked(self) -> None:
        """Hear that this is the child of a fork, where the listener goes on."""
