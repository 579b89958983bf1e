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

    To catch it is to catch whatever this library raises of its own. A wrong argument is
    a plain `TypeError` or `ValueError`, as elsewhere in Python.

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
    """A call that needs a running transaction was made outside of one.

    Put the call into a function with ``@dosync``, or into a ``with dosync():`` block.

    Example:
        >>> from atomos import Ref
        >>> stock = Ref(3, name="stock")
        >>> stock.set(2)
        Traceback (most recent call last):
            ...
        atomos.errors.NoTransactionError: Ref 'stock'.set() was called outside a ...
    """


class InTransactionError(AtomosError, RuntimeError):
    """Code marked by `no_transaction` ran in a transaction that may run again.

    Do it after the commit (`after_commit`), have an agent do it, or make the
    transaction a plain block, which runs once.

    Example:
        >>> from atomos import atomically, no_transaction
        >>> @no_transaction
        ... def send_mail():
        ...     print("sent")
        >>> atomically(send_mail)
        Traceback (most recent call last):
            ...
        atomos.errors.InTransactionError: send_mail() was called inside of ...
    """


class ValidationError(AtomosError, ValueError):
    """A validator refused a value; nothing was written.

    When the validator raised, its exception is the `__cause__`.

    Write another value, or let the validator accept this one.

    Example:
        >>> from atomos import Atom
        >>> age = Atom(7, name="age", validator=lambda years: years >= 0)
        >>> age.reset(-1)
        Traceback (most recent call last):
            ...
        atomos.errors.ValidationError: the validator of Atom 'age' refused -1; ...
        >>> age.deref()
        7
    """


class EncodingError(AtomosError, ValueError):
    """A value cannot be stored in a space that processes share; nothing was written.

    Store plain data: what `pickle` takes, or with ``codec="json"`` what JSON gives back
    as it was. What the codec raised is the `__cause__`.

    Example:
        >>> from atomos.multiprocessing import Ref
        >>> Ref(lambda: 1, name="work")
        Traceback (most recent call last):
            ...
        atomos.errors.EncodingError: Ref 'work' cannot hold <function ...
    """


class DecodingError(AtomosError, ValueError):
    """What a space has for a ref cannot be read as a value; it is kept as it is.

    As a rule the class of the value was renamed, or is not imported here. Import it
    under the name that it had, or set another value in a function with ``@dosync``.
    What the codec raised is the `__cause__`.

    Example:
        >>> from atomos import atomically
        >>> from atomos.multiprocessing import Ref
        >>> class Broken:
        ...     def __reduce__(self):
        ...         return int, ("no number",)
        >>> point = Ref(Broken(), name="point")
        >>> point.deref()
        Traceback (most recent call last):
            ...
        atomos.errors.DecodingError: the value of Ref 'point' cannot be read: ...
        >>> atomically(point.set, (1, 2))
        (1, 2)
    """


class ReadOnlyError(AtomosError, RuntimeError):
    """A write was attempted in a transaction made with ``read_only=True``.

    Leave `read_only` out where something is to be written. A part is read_only, too, if
    the transaction around it is.

    Example:
        >>> from atomos import Ref, dosync
        >>> stock = Ref(3, name="stock")
        >>> with dosync(read_only=True, name="the report"):
        ...     stock.set(2)
        Traceback (most recent call last):
            ...
        atomos.errors.ReadOnlyError: Ref 'stock' cannot be written: the report is ...
    """


class IsolationError(AtomosError, RuntimeError):
    """A nested call asked for a stronger isolation than is running.

    Ask for it at the outermost call: what runs already cannot be made stronger.

    Example:
        >>> from atomos import dosync
        >>> @dosync(isolation="serializable")
        ... def transfer():
        ...     pass
        >>> @dosync(isolation="snapshot")
        ... def report():
        ...     transfer()
        >>> report()
        Traceback (most recent call last):
            ...
        atomos.errors.IsolationError: transfer asks for isolation='serializable' ...
    """


class MixedSpacesError(AtomosError, RuntimeError):
    """A transaction has touched refs of two spaces, or of a space and this process.

    Keep what belongs together in one space. Or read the other one before the
    transaction, or write it after that.

    Example:
        >>> from atomos import Ref, dosync, multiprocessing
        >>> here, shared = Ref(1, name="here"), multiprocessing.Ref(1)
        >>> with dosync():
        ...     shared.set(here.deref())
        Traceback (most recent call last):
            ...
        atomos.errors.MixedSpacesError: ...
    """


class MutatedValueError(AtomosError, RuntimeError):
    """A value was changed in place while a ref, atom, atomic or agent had it.

    Raised only while `atomos.debug` looks for it.

    Store a new value instead, such as ``{**d, key: value}``. The message names where
    the value was stored.

    Example:
        >>> from atomos import Ref, debug
        >>> debug.enable(effects=False, skew=False)
        >>> stock = Ref({"apples": 3}, name="stock")
        >>> stock.deref()["apples"] = 2
        >>> stock.deref()
        Traceback (most recent call last):
            ...
        atomos.errors.MutatedValueError: the value of Ref 'stock' was changed in ...
        >>> debug.disable()
    """


class CommuteError(AtomosError, RuntimeError):
    """A function given to `commute` touched a ref, an atom or an atomic.

    It may be called after the body, with the newest value, so it may use its arguments
    only. Pass what it needs as an argument, or use `alter`.

    Example:
        >>> from atomos import Ref, dosync
        >>> total, price = Ref(0), Ref(5)
        >>> with dosync():
        ...     total.commute(lambda n: n + price.deref())
        Traceback (most recent call last):
            ...
        atomos.errors.CommuteError: a function given to commute() touched a ref, an ...
        >>> with dosync():
        ...     total.commute(lambda n, more: n + more, price.deref())
        >>> total
        Ref(5)
    """


class RetryError(AtomosError, RuntimeError):
    """`retry` or `check` was called where it could not wait.

    Nothing had been read, or the transaction is a plain block, which cannot be run
    again.

    Read first what is waited for. Instead of a plain block use ``@dosync``, or ``for tx
    in dosync()``.

    Example:
        >>> from atomos import Ref, check, dosync
        >>> stock = Ref(0)
        >>> with dosync(name="sell"):
        ...     check(stock.deref() > 0)
        Traceback (most recent call last):
            ...
        atomos.errors.RetryError: retry() or check() was called in sell, which ...
    """


class TransactionStateError(AtomosError, RuntimeError):
    """A transaction block was used in a way that it cannot be used in.

    For example after its end, twice, or left by `return` where a block that
    may be re-run must be left through its end.

    The message says how to use it.

    Example:
        >>> from atomos import dosync
        >>> with dosync() as tx:
        ...     tx.attempt
        1
        >>> tx.attempt
        Traceback (most recent call last):
            ...
        atomos.errors.TransactionStateError: tx.attempt was used outside of its ...
    """


class WouldDeadlockError(AtomosError, RuntimeError):
    """The operation would wait for something that its own thread holds.

    Waiting would never end, so it is refused. Signal handlers, finalizers and what is
    called by `outside` leave alone what the code around them holds; and nobody waits
    for agents inside an action or a transaction.

    Example:
        >>> from atomos import Atom, dosync, outside
        >>> stock = Atom(3, name="stock")
        >>> with dosync():
        ...     stock.swap(lambda n: n - 1)
        ...     outside(stock.reset, 0)
        Traceback (most recent call last):
            ...
        atomos.errors.WouldDeadlockError: Atom 'stock' is held by a plain block, ...
        >>> stock
        Atom(3, name='stock')
    """


class HistoryLostError(AtomosError, RuntimeError):
    """A snapshot needs a version that `max_history` has dropped.

    Raise `max_history`, or leave it out: then as many are kept as open snapshots need.
    A transaction that can be run again is, and raises this only if that does not help.

    Example:
        >>> from atomos import Ref, atomically, dosync, outside
        >>> stock, sold = Ref(3, name="stock", max_history=0), Ref(0)
        >>> with dosync(read_only=True):
        ...     _ = sold.deref()
        ...     _ = outside(atomically, stock.set, 2)  # as another thread might
        ...     stock.deref()
        Traceback (most recent call last):
            ...
        atomos.errors.HistoryLostError: the version of Ref 'stock' that this ...
    """


class HistoryError(AtomosError, ValueError):
    """A history for a checker of `atomos.testing` was recorded in a wrong way.

    For example a step outside of its ``with`` block, or the same element appended
    twice. Record each transaction as `History.transaction` shows.

    Example:
        >>> from atomos.testing import History
        >>> History().transaction("first").append("log", 1)
        Traceback (most recent call last):
            ...
        atomos.errors.HistoryError: append() of history.transaction('first') was ...
    """


class TransactionAborted(AtomosError, RuntimeError):
    """A transaction gave up: it lost as often as `max_attempts` allows.

    Raise `max_attempts` or leave it out: without it nobody starves.

    Attributes:
        attempts: How many attempts were made.
        lost_to: What the last one lost to, in words; None when it never ran.

    A note tells by which causes attempts have ended, which refs they were lost to, and
    the seconds in attempts and in waiting.

    Example:
        >>> from atomos import Ref, atomically, dosync, outside
        >>> from atomos.errors import TransactionAborted
        >>> stock = Ref(3, name="stock")
        >>> @dosync(max_attempts=2)
        ... def sell():
        ...     left = stock.deref() - 1
        ...     outside(atomically, stock.set, left + 2)  # as another thread might
        ...     return stock.set(left)
        >>> try:
        ...     sell()
        ... except TransactionAborted as error:
        ...     print(error.attempts, "attempts:", error.lost_to)
        2 attempts: ...
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
    """A transaction gave up: its `timeout` passed before it could commit.

    Raise the `timeout`, hold less for less long, or do something else. As it is a
    `TimeoutError`, ``except TimeoutError`` catches it, too.

    Example:
        >>> from atomos import Atom
        >>> from atomos.errors import TransactionTimeout
        >>> mail = Atom(())
        >>> try:
        ...     mail.wait_for(bool, timeout=0)
        ... except TransactionTimeout:
        ...     print("no mail")
        no mail
    """


class StatisticsOffError(AtomosError, RuntimeError):
    """Statistics were asked for that nobody collects.

    Use ``with collecting():`` around what is to be counted, or set
    ``ATOMOS_STATISTICS=1`` before the program starts.

    Example:
        >>> from atomos.stm import collecting, statistics
        >>> statistics()
        Traceback (most recent call last):
            ...
        atomos.errors.StatisticsOffError: statistics are not collected: use `with ...
        >>> with collecting():
        ...     statistics().commits
        0
    """


class TraceFileError(AtomosError, OSError):
    """The file of a trace cannot be written.

    What the system said, if it did, is the `__cause__`.

    Raised at the begin of the trace if the file cannot be opened, else at its end;
    transactions run as ever. Name another file, or free space on the disk.

    Example:
        >>> import tempfile
        >>> from atomos.stm import trace
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with trace(folder):
        ...         print("never here")
        Traceback (most recent call last):
            ...
        atomos.errors.TraceFileError: ...
    """


class AgentFailedError(AtomosError, RuntimeError):
    """An action of an agent raised; the agent runs no more until `restart`.

    What the action raised is the `__cause__`.

    Look at the `__cause__`, and `restart` it with a state that is right. With
    ``error_mode="continue"`` an agent goes on by itself.

    Example:
        >>> from atomos.agent import Agent
        >>> from atomos.errors import AgentFailedError
        >>> agent = Agent(1, error_handler=lambda agent, error: None)
        >>> try:
        ...     agent.send(lambda n: n / 0).wait()
        ... except AgentFailedError as error:
        ...     print(repr(error.__cause__))
        ...     agent.restart(2).deref()
        ZeroDivisionError('division by zero')
        2
    """


class AgentNotFailedError(AtomosError, RuntimeError):
    """`restart` was called on an agent that has not failed.

    Look at `error` first; another thread may have restarted the agent.

    Example:
        >>> from atomos.agent import Agent
        >>> Agent(1, name="counter").restart(2)
        Traceback (most recent call last):
            ...
        atomos.errors.AgentNotFailedError: ...
    """


class AgentShutdownError(AtomosError, RuntimeError):
    """There is no pool any more that would run what was sent to an agent.

    After `shutdown_agents()`, at the end of the program, or when the executor
    of the agent is shut down. What the executor raised is the `__cause__`.

    Send, and wait for what was sent, before that.

    Example:
        >>> from concurrent.futures import ThreadPoolExecutor
        >>> from atomos.agent import Agent
        >>> with ThreadPoolExecutor(1) as pool:
        ...     agent = Agent(1, name="counter", executor=pool)
        ...     agent.send(lambda n: n + 1).wait()
        >>> agent.send(lambda n: n + 1)
        Traceback (most recent call last):
            ...
        atomos.errors.AgentShutdownError: Agent 'counter' takes no action: its ...
        >>> agent.deref()
        2
    """


class AgentTimeout(AtomosError, TimeoutError):
    """The actions that were waited for did not all run within the timeout.

    Nothing is taken back: the actions run on. Wait again, raise the timeout, or make
    the actions shorter.

    Example:
        >>> from threading import Event
        >>> from atomos.agent import Agent
        >>> opened = Event()
        >>> agent = Agent(None, name="door").send_off(lambda _: opened.wait())
        >>> agent.wait(timeout=0)
        Traceback (most recent call last):
            ...
        atomos.errors.AgentTimeout: Agent 'door' did not run all of its actions ...
        >>> opened.set()
        >>> agent.wait()
        >>> agent.deref()
        True
    """


class SpaceError(AtomosError):
    """A space, which processes share, cannot do what it was asked for.

    What the storage engine or the system said, if it did, is the `__cause__`.

    The root of those whose names begin with Space. It is itself raised for all else,
    such as a name that is not there, or settings with which the space was not made.

    Example:
        >>> import tempfile
        >>> from atomos import multiprocessing
        >>> folder = tempfile.TemporaryDirectory()
        >>> with folder, multiprocessing.open(folder.name) as space:
        ...     space.ref("checking")
        Traceback (most recent call last):
            ...
        atomos.errors.SpaceError: ... has no Ref 'checking': give it a default, or ...
    """


class SpaceBusyError(SpaceError, TimeoutError):
    """Another writer held the queue of the space until the time was over.

    The message names its process, and says so if that is stopped.

    Let that process go on or end it: if it is killed, the next one has the queue. Then
    try again: nothing was written.

    Attributes:
        stopped: That process is stopped, by SIGSTOP or a debugger.

    Example:
        >>> from atomos.errors import SpaceBusyError
        >>> from atomos.multiprocessing import AtomicInteger
        >>> def count(hits):
        ...     try:
        ...         return hits.increment_and_get()
        ...     except SpaceBusyError as error:
        ...         return "it is stopped" if error.stopped else "busy, try again"
        >>> count(AtomicInteger(4))
        5
    """

    stopped: bool = False


class SpaceClosedError(SpaceError, RuntimeError):
    """The space was closed, or what was begun in it belongs to another process.

    Open it again, and get the refs from there.

    Example:
        >>> import tempfile
        >>> from atomos import multiprocessing
        >>> folder = tempfile.TemporaryDirectory()
        >>> with folder, multiprocessing.open(folder.name) as space:
        ...     visits = space.integer("visits")
        >>> visits.get()
        Traceback (most recent call last):
            ...
        atomos.errors.SpaceClosedError: AtomicInteger at ... cannot go on: the space ...
    """


class SpaceFullError(SpaceError, OSError):
    """The disk or the map of the space is full; nothing was written.

    Free space on the disk; or if the message says that the map is full, close the space
    everywhere and open it with a larger `size`.

    Example:
        >>> import tempfile
        >>> from atomos import multiprocessing
        >>> folder = tempfile.TemporaryDirectory()
        >>> with folder, multiprocessing.open(folder.name, size=1 << 16) as space:
        ...     space.ref("picture", default=b"x" * 1_000_000)
        Traceback (most recent call last):
            ...
        atomos.errors.SpaceFullError: ...: nothing was written; ...
    """


class SpaceCorruptError(SpaceError, ValueError):
    """A file of the space is damaged, cut off, or of another program.

    Name another path; or restore the folder from a copy, or remove it to begin anew.

    Example:
        >>> import pathlib, tempfile
        >>> from atomos import multiprocessing
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = pathlib.Path(folder, "letter.txt").write_text("Dear Ann")
        ...     multiprocessing.open(folder)
        Traceback (most recent call last):
            ...
        atomos.errors.SpaceCorruptError: ... is no space, and not empty: name ...
    """


class SpaceAccessError(SpaceError, PermissionError):
    """This process may not read or write a file of the space.

    Run as its owner, or let this process read and write the folder and what is in it,
    or open another path.

    Example:
        >>> import tempfile
        >>> from atomos import multiprocessing
        >>> from atomos.errors import SpaceAccessError
        >>> def visits(path):
        ...     try:
        ...         with multiprocessing.open(path) as space:
        ...             return space.integer("visits").increment_and_get()
        ...     except SpaceAccessError:
        ...         return "another user's"
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     visits(folder)
        1
    """
