"""The log of a history, and the `with` blocks that write into it.

The log is one list, and each begin and each end appends to it. To append is one step,
with the GIL and without, so the list itself is the order: an end that was appended
before a begin was an end before that begin. No lock is taken, and no user code runs
meanwhile. Positions are counted when the history is looked at.

How something ended is stored in its recorder before the end is appended, and not
changed afterwards.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from atomos import current_transaction
from atomos.errors import HistoryError, InTransactionError
from atomos.testing._records import Append, Read

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable
    from types import TracebackType
    from typing import Self

__all__ = ["Log", "OperationRecorder", "Recorder", "TransactionRecorder"]

H = TypeVar("H", bound="Hashable")
V = TypeVar("V", bound="Iterable[Hashable]")


class Log:
    """The begins and ends of a history.

    Attributes:
        entries: Each with whether it is an end. Only ever appended to.
        unknown: Exceptions that leave open whether what they end took effect.
    """

    __slots__ = ("entries", "unknown")

    def __init__(self, unknown: tuple[type[BaseException], ...]) -> None:
        self.entries: list[tuple[Recorder, bool]] = []
        self.unknown = unknown

    def positions(self) -> list[tuple[Recorder, int, int | None]]:
        """Return each recorder with the positions of its begin and its end."""
        begins: dict[Recorder, int] = {}
        ends: dict[Recorder, int] = {}
        # A copy, since threads may still append.
        for position, (recorder, is_end) in enumerate(list(self.entries)):
            (ends if is_end else begins)[recorder] = position
        return [(each, begin, ends.get(each)) for each, begin in begins.items()]


class Recorder:
    """A `with` block that is written down: its begin, and its end if that is known.

    Attributes:
        error: What ended it, if it was an exception.
        _log: That of the history.
        _state: 0 before the block, 1 in it, 2 after it.
    """

    __slots__ = ("_log", "_state", "error")

    def __init__(self, log: Log) -> None:
        self._log = log
        self._state = 0
        self.error: BaseException | None = None

    def __enter__(self) -> Self:
        """Write the begin down."""
        if self._state != 0:
            msg = f"{self!r} was entered twice: ask the history for a new one"
            raise HistoryError(msg)
        if current_transaction() is not None:
            msg = (
                f"{self!r} was entered inside of a transaction, and would end before "
                "that takes effect: put it around the transaction"
            )
            raise InTransactionError(msg)
        self._state = 1
        self._log.entries.append((self, False))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> Literal[False]:
        """Write the end down, unless nobody knows how it ended."""
        self._state = 2
        self.error = error
        known = error is None or isinstance(error, Exception)
        if known and not isinstance(error, self._log.unknown):
            self._log.entries.append((self, True))
        return False


class OperationRecorder(Recorder):
    """An operation while it is recorded.

    Attributes:
        thread: The name of the thread that called `history.operation`.
        name: What the model calls it.
        args: What the model gets.
        result: What came out, to be stored by the block.
    """

    __slots__ = ("args", "name", "result", "thread")

    def __init__(self, log: Log, name: str, args: tuple[Any, ...]) -> None:
        super().__init__(log)
        self.thread = threading.current_thread().name
        self.name = name
        self.args = args
        self.result: Any = None

    def __repr__(self) -> str:
        """Show the call that made it."""
        return f"history.operation({', '.join(map(repr, (self.name, *self.args)))})"


class TransactionRecorder(Recorder):
    """A transaction while it is recorded.

    Attributes:
        name: What messages call it, None if it has no name of its own.
        steps: What the attempt that runs has done.
        lost: What the attempts before it have appended.
    """

    __slots__ = ("lost", "name", "steps")

    def __init__(self, log: Log, name: str | None) -> None:
        super().__init__(log)
        self.name = name
        self.steps: list[Read | Append] = []
        self.lost: list[Append] = []

    def __repr__(self) -> str:
        """Show the call that made it."""
        return f"history.transaction({'' if self.name is None else repr(self.name)})"

    def begin(self) -> None:
        """Say that an attempt begins: what the one before it did has not happened.

        The first line of a body that may run again.

        Raises:
            HistoryError: The `with` block is not running.

        Cost: O(number of steps of the attempt before it).
        """
        self._refuse_outside("begin")
        self.lost += (step for step in self.steps if isinstance(step, Append))
        self.steps = []

    def read(self, key: Hashable, value: V) -> V:
        """Record that the transaction read the list of `key` as `value`.

        Args:
            key: What was read: a name, or the ref itself.
            value: All that is in the list, in order; it is copied.

        Returns:
            `value`.

        Raises:
            HistoryError: The `with` block is not running, or `value` is no list.

        Cost: O(length of the list).
        """
        self._refuse_outside("read")
        try:
            elements = tuple(value)
        except TypeError:
            msg = (
                f"read() of {self!r} was given {value!r}, which is no list: keep what "
                "is checked in tuples or lists that are only ever appended to"
            )
            raise HistoryError(msg) from None
        self.steps.append(Read(key, elements))
        return value

    def append(self, key: Hashable, element: H) -> H:
        """Record that the transaction appends `element` to the list of `key`.

        Args:
            key: What is written: a name, or the ref itself.
            element: Appended nowhere else to this list.

        Returns:
            `element`.

        Raises:
            HistoryError: The `with` block is not running.

        Cost: O(1).
        """
        self._refuse_outside("append")
        self.steps.append(Append(key, element))
        return element

    def _refuse_outside(self, what: str) -> None:
        if self._state != 1:
            msg = (
                f"{what}() of {self!r} was called outside of its `with` block: put the "
                "whole transaction into the block"
            )
            raise HistoryError(msg)
