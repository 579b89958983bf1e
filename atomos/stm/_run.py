"""One run of a transaction: its options, and its attempts so far.

A run lasts until an attempt commits, or until its options forbid another one.
What one attempt sees and writes is in `_transaction`.
"""

from __future__ import annotations

from math import inf
from sys import float_info
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from atomos.errors import HistoryLostError, TransactionAborted, TransactionTimeout
from atomos.stm._account import Account
from atomos.stm._arguments import shown
from atomos.stm._owner import Owner

if TYPE_CHECKING:
    from atomos.stm._registry import ThreadRecord
    from atomos.stm._status import Status

__all__ = [
    "DEFAULT",
    "HISTORY_ATTEMPTS",
    "Options",
    "Run",
    "is_count",
    "is_seconds",
    "make_options",
]

E = TypeVar("E", bound=TransactionAborted)

#: Attempts after which a read_only transaction, which may hold nothing, stops
#: running after a ref whose `max_history` drops what it needs.
HISTORY_ATTEMPTS = 100

ISOLATIONS = ("serializable", "snapshot")


class Options(NamedTuple):
    """The checked arguments of one `dosync`."""

    isolation: str | None = None
    read_only: bool = False
    timeout: float | None = None
    max_attempts: int | None = None
    name: str | None = None


#: The options of bare ``@dosync`` and of `atomically`.
DEFAULT = Options()


def make_options(
    isolation: str | None,
    read_only: bool,
    timeout: float | None,
    max_attempts: int | None,
    name: str | None,
) -> Options:
    """Check the arguments of `dosync`.

    Raises:
        ValueError: One of them has a value that is not allowed.
    """
    if isolation is not None and isolation not in ISOLATIONS:
        msg = f"isolation must be 'serializable' or 'snapshot', not {shown(isolation)}"
        raise ValueError(msg)
    if timeout is not None and not is_seconds(timeout):
        msg = (
            "timeout must be a number of seconds that fits a float, from 0 to "
            f"math.inf, or None, not {shown(timeout)}"
        )
        raise ValueError(msg)
    if max_attempts is not None and not is_count(max_attempts, 1):
        msg = (
            "max_attempts must be a whole number from 1 on, or None, "
            f"not {shown(max_attempts)}"
        )
        raise ValueError(msg)
    if name is not None and not isinstance(name, str):
        msg = f"name must be a str or None, not {shown(name)}"
        raise TypeError(msg)
    asked = Options(isolation, bool(read_only), timeout, max_attempts, name)
    return DEFAULT if asked == DEFAULT else asked


def is_count(value: object, least: int) -> bool:
    """Whether `value` is a whole number from `least` on; a bool is none."""
    return isinstance(value, int) and value >= least and not isinstance(value, bool)


def is_seconds(value: object) -> bool:
    """Whether `value` is a number of seconds that one can wait; a bool is none."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return False
    return 0 <= value <= float_info.max or value == inf


class Run(Owner):
    """What the attempts of one transaction share.

    Attributes:
        options: What was asked for.
        label: The transaction's name in messages.
        deadline: `time.monotonic()` seconds, or None for no limit. Never moved
            back: the earliest deadline of nested calls wins.
        serializable: The isolation in force; False means snapshot.
        rerunnable: It may be run again; False for a plain block.
        thread: Record of the thread that runs its attempts.
        status: The fate of the attempt, from when it first holds something.
        doomed: Why the attempt cannot commit any more; None while it can.
        updates: An attempt has written. Never reset.
        attempts: Attempts begun so far. Never decreases.
        waits: How many of them have called `retry`, and waited: they lost nothing.
        lost_to: What the last one was lost to, in words; None if none was.
        account: What was lost and waited for; None while nothing was.
        began: `time.monotonic()` seconds at the start; only if `options` has a timeout.
    """

    __slots__ = (
        "account",
        "attempts",
        "began",
        "deadline",
        "doomed",
        "label",
        "lost_to",
        "options",
        "rerunnable",
        "serializable",
        "status",
        "thread",
        "updates",
        "waits",
    )

    options: Options
    label: str
    deadline: float | None
    serializable: bool
    rerunnable: bool
    thread: ThreadRecord
    status: Status | None
    doomed: str | None
    updates: bool
    attempts: int
    waits: int
    lost_to: str | None
    account: Account | None
    began: float

    def expect_no_later_than(self, timeout: float) -> None:
        """Bring the deadline forward for a nested call."""
        deadline = monotonic() + timeout
        if self.deadline is None or deadline < self.deadline:
            self.deadline = deadline

    def refuse_if_over(self) -> None:
        """Raise unless another attempt may be made after a lost one.

        Raises:
            TransactionAborted: There were as many as `max_attempts` allows.
            TransactionTimeout: The deadline has passed.
            HistoryLostError: It is read_only and cannot win.
        """
        if self.deadline is not None and monotonic() >= self.deadline:
            raise self.timed_out(self.lost_to)
        limit = self.options.max_attempts
        lost = self.attempts - self.waits
        if limit is not None and lost >= limit:
            msg = (
                f"{self.label} lost {lost} attempts, as many as max_attempts "
                f"allows; lost to: {self.lost_to}. Raise max_attempts, or make the "
                "transaction shorter"
            )
            raise self.with_account(
                TransactionAborted(msg, self.attempts, self.lost_to)
            )
        if self.options.read_only and lost >= HISTORY_ATTEMPTS:
            msg = (
                f"{self.label} ran {self.attempts} times, and each time "
                f"{self.lost_to}: raise max_history of that ref"
            )
            raise HistoryLostError(msg)

    def timed_out(self, cause: str | None) -> TransactionTimeout:
        """Return the error that says that the deadline has passed."""
        msg = (
            f"{self.label} did not commit within its timeout, attempt {self.attempts}; "
            f"lost to: {cause}. Raise the timeout, or make the transaction shorter"
        )
        return self.with_account(TransactionTimeout(msg, self.attempts, cause))

    def need_account(self) -> Account:
        """Return the account, made when it is first asked for."""
        if self.account is None:
            self.account = Account()
        return self.account

    def with_account(self, error: E) -> E:
        """Return `error`, with a note of what was lost and waited for."""
        began = None if self.options.timeout is None else self.began
        error.add_note(self.need_account().note(began))
        return error

    def starts_waiting(self) -> None:
        """Note that a wait begins."""
        self.need_account().starts_waiting()

    def has_waited(self) -> None:
        """Note that the wait has ended."""
        self.need_account().has_waited()
