"""Every error that atomos raises, under one root.

A message says what happened, names the refs by their `name`, and says what to
do. Each is an ordinary `Exception`: a body may catch it. The engine's own
control signals are not here, since no user code should see them.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "AgentFailedError",
    "AgentNotFailedError",
    "AgentShutdownError",
    "AgentTimeout",
    "AtomosError",
    "CommuteError",
    "DecodingError",
    "EncodingError",
    "HistoryError",
    "HistoryLostError",
    "InTransactionError",
    "IsolationError",
    "MixedSpacesError",
    "MutatedValueError",
    "NoTransactionError",
    "ReadOnlyError",
    "RetryError",
    "SpaceAccessError",
    "SpaceBusyError",
    "SpaceClosedError",
    "SpaceCorruptError",
    "SpaceError",
    "SpaceFullError",
    "StatisticsOffError",
    "TraceFileError",
    "TransactionAborted",
    "TransactionStateError",
    "TransactionTimeout",
    "ValidationError",
    "WouldDeadlockError",
]


class AtomosError(Exception):
    """The root of all errors of this library.

    Example:
        >>> from atomos import Ref
        >>> from atomos.errors import AtomosError
        >>> try:
        ...     Ref(1).set(2)
        ... except AtomosError as error:
        ...     print(type(error).__name__)
        NoTransactionError
    """


class NoTransactionError(AtomosError, RuntimeError):
    """A call that needs a running transaction was made outside of one."""


class InTransactionError(AtomosError, RuntimeError):
    """Code marked by `no_transaction` ran in a transaction that may run again."""


class ValidationError(AtomosError, ValueError):
    """A validator refused a value; nothing was written.

    When the validator raised, its exception is the `__cause__`.
    """


class EncodingError(AtomosError, ValueError):
    """A value cannot be stored in a space that processes share; nothing was written."""


class DecodingError(AtomosError, ValueError):
    """What a space has for a ref cannot be read as a value; it is kept as it is."""


class ReadOnlyError(AtomosError, RuntimeError):
    """A write was attempted in a transaction made with ``read_only=True``."""


class IsolationError(AtomosError, RuntimeError):
    """A nested call asked for a stronger isolation than is running."""


class MixedSpacesError(AtomosError, RuntimeError):
    """A transaction has touched refs of two spaces, or of a space and this process."""


class MutatedValueError(AtomosError, RuntimeError):
    """A value was changed in place while a ref, atom, atomic or agent had it.

    Raised only while `atomos.debug` looks for it.
    """


class CommuteError(AtomosError, RuntimeError):
    """A function given to `commute` touched a ref, an atom or an atomic."""


class RetryError(AtomosError, RuntimeError):
    """`retry` or `check` was called where it could not wait.

    Nothing had been read, or the transaction is a plain block, which cannot be run
    again.
    """


class TransactionStateError(AtomosError, RuntimeError):
    """A transaction block was used in a way that it cannot be used in.

    For example after its end, twice, or left by `return` where a block that
    may be re-run must be left through its end.
    """


class WouldDeadlockError(AtomosError, RuntimeError):
    """The operation would wait for something that its own thread holds."""


class HistoryLostError(AtomosError, RuntimeError):
    """A snapshot needs a version that `max_history` has dropped."""


class HistoryError(AtomosError, ValueError):
    """A history for a checker of `atomos.testing` was recorded in a wrong way."""


class TransactionAborted(AtomosError, RuntimeError):
    """A transaction gave up: it lost as often as `max_attempts` allows.

    Attributes:
        attempts: How many attempts were made.
        lost_to: What the last one lost to, in words; None when it never ran.

    A note tells by which causes attempts have ended, which refs they were lost to, and
    the seconds in attempts and in waiting.
    """

    def __init__(self, message: str, attempts: int, lost_to: str | None) -> None:
        """Keep the attempts made and what the last one lost to."""
        super().__init__(message)
        self.attempts = attempts
        self.lost_to = lost_to

    def __reduce__(self) -> tuple[type, tuple[str, int, str | None], dict[str, Any]]:
        """Pickle with the notes, and all arguments, which `Exception` would forget."""
        return type(self), (self.args[0], self.attempts, self.lost_to), self.__dict__


class TransactionTimeout(TransactionAborted, TimeoutError):
    """A transaction gave up: its `timeout` passed before it could commit."""


class StatisticsOffError(AtomosError, RuntimeError):
    """Statistics were asked for that nobody collects."""


class TraceFileError(AtomosError, OSError):
    """The file of a trace cannot be written.

    What the system said, if it did, is the `__cause__`.
    """


class AgentFailedError(AtomosError, RuntimeError):
    """An action of an agent raised; the agent runs no more until `restart`.

    What the action raised is the `__cause__`.
    """


class AgentNotFailedError(AtomosError, RuntimeError):
    """`restart` was called on an agent that has not failed."""


class AgentShutdownError(AtomosError, RuntimeError):
    """There is no pool any more that would run what was sent to an agent.

    After `shutdown_agents()`, at the end of the program, or when the executor
    of the agent is shut down. What the executor raised is the `__cause__`.
    """


class AgentTimeout(AtomosError, TimeoutError):
    """The actions that were waited for did not all run within the timeout."""


class SpaceError(AtomosError):
    """A space, which processes share, cannot do what it was asked for.

    What the storage engine or the system said, if it did, is the `__cause__`.
    """


class SpaceBusyError(SpaceError, TimeoutError):
    """Another writer held the queue of the space until the time was over.

    The message names its process, and says so if that is stopped.

    Attributes:
        stopped: That process is stopped, by SIGSTOP or a debugger.
    """

    stopped: bool = False


class SpaceClosedError(SpaceError, RuntimeError):
    """The space was closed, or what was begun in it belongs to another process."""


class SpaceFullError(SpaceError, OSError):
    """The disk or the map of the space is full; nothing was written."""


class SpaceCorruptError(SpaceError, ValueError):
    """A file of the space is damaged, cut off, or of another program."""


class SpaceAccessError(SpaceError, PermissionError):
    """This process may not read or write a file of the space."""
