"""`History`: what threads did, written down while they do it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple

from atomos.stm._arguments import shown
from atomos.testing._recorders import Log, OperationRecorder, TransactionRecorder
from atomos.testing._records import Operation, Transaction

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["History", "refuse_no_history"]

R = TypeVar("R")
Ts = TypeVarTuple("Ts")


class History:
    """What threads did, in one order of all begins and ends.

    Use one for each run, from as many threads as you like, also from threads that a
    schedule runs. Give it to `check_linearizable` if it has operations, to
    `check_serializable` or `check_snapshot_isolation` if it has transactions.

    An operation or transaction that ends by an `Exception` has ended: an operation
    has that outcome, a transaction did not take effect. One that ends by another
    `BaseException`, as Ctrl-C is, or by one of `unknown`, or never, is pending: it
    may have taken effect.

    Attributes:
        _log: Each begin and each end, in order.

    Raises:
        TypeError: `unknown` is no tuple of classes of exceptions.

    Cost: to make one, O(1); it grows by two entries for each operation or transaction,
    and by one for each step.

    Source: Herlihy and Wing, "Linearizability: a correctness condition for
        concurrent objects", 1990, for histories of invocations and responses.

    Example:
        >>> from atomos import AtomicInteger
        >>> from atomos.testing import History
        >>> history, hits = History(), AtomicInteger(0)
        >>> history.call("add", hits.add_and_get, 2)
        2
        >>> with history.operation("get") as get:
        ...     get.result = hits.get()
        >>> history
        History(operations=2, transactions=0)
        >>> for operation in history.operations:
        ...     print(operation)
        add(2) -> 2 in MainThread
        get() -> 2 in MainThread
    """

    __slots__ = ("_log",)

    def __init__(self, *, unknown: tuple[type[BaseException], ...] = ()) -> None:
        """Begin an empty history.

        Args:
            unknown: Exceptions that leave open whether the call took effect, as a
                timeout of a server does.
        """
        _refuse_other_than_types(unknown)
        self._log = Log(unknown)

    def __repr__(self) -> str:
        """Show how much there is in it."""
        operations, transactions = len(self.operations), len(self.transactions)
        return f"History(operations={operations}, transactions={transactions})"

    def call(self, name: str, fn: Callable[[*Ts], R], /, *args: *Ts) -> R:
        """Record one call, and make it.

        Args:
            name: What the model calls it.
            fn: What is called.
            *args: Its arguments, which the model gets, too.

        Returns:
            What `fn` returns.

        Raises:
            InTransactionError: A transaction is running, so it would be recorded as
                done before it is committed.
            BaseException: What `fn` raises.

        Cost: that of `operation`.

        Example:
            >>> from atomos.testing import History
            >>> History().call("largest", max, 3, 4)
            4
        """
        with self.operation(name, *args) as operation:
            result = fn(*args)
            operation.result = result
        return result

    def operation(self, name: str, /, *args: Any) -> OperationRecorder:
        """Record what a `with` block does as one operation.

        Args:
            name: What the model calls it.
            *args: What the model gets. Do not change them in place.

        Returns:
            A context manager that gives itself; store what came out into its
            `result`.

        Raises:
            InTransactionError: When the block is entered in a transaction, which
                takes effect later.

        Cost: two appends to a list.

        Example:
            >>> from atomos.testing import History
            >>> history = History()
            >>> with history.operation("get", "x") as get:
            ...     get.result = {"x": 1}["x"]
            >>> history.operations[0].result
            1
        """
        return OperationRecorder(self._log, name, args)

    def transaction(self, name: str | None = None, /) -> TransactionRecorder:
        """Record what a `with` block does as one transaction.

        Put it around the transaction, commit and all. A body that may run again
        calls `begin` first. The values are lists that are only ever appended to, and
        each element is appended once: so each read tells in which order all that it
        holds was written.

        Args:
            name: What messages call it; a number is added if there are more of that
                name. T1, T2 ... if left out.

        Returns:
            A context manager that gives itself, with `begin`, `read` and `append`.

        Raises:
            InTransactionError: When the block is entered in a transaction: it would
                be recorded as done before it is committed.

        Cost: two appends to a list, and one for each step.

        Source: Kingsbury and Alvaro, "Elle: inferring isolation anomalies from
            experimental observations", VLDB 2020, for lists.

        Example:
            >>> from atomos import Ref, atomically
            >>> from atomos.testing import History
            >>> history, log = History(), Ref((), name="log")
            >>> with history.transaction("first") as t:
            ...
            ...     def body():
            ...         t.begin()
            ...         seen = t.read("log", log.deref())
            ...         log.set((*seen, t.append("log", 1)))
            ...
            ...     atomically(body)
            >>> history.transactions[0].steps
            (Read(key='log', value=()), Append(key='log', element=1))
        """
        return TransactionRecorder(self._log, name)

    @property
    def operations(self) -> tuple[Operation, ...]:
        """The operations, in the order in which they began.

        Cost: O(length of the history).

        Example:
            >>> from atomos.testing import History
            >>> history = History()
            >>> _ = history.call("largest", max, 3, 4)
            >>> [(one.name, one.args, one.result) for one in history.operations]
            [('largest', (3, 4), 4)]
        """
        return tuple(
            Operation(
                recorder.thread,
                recorder.name,
                recorder.args,
                None if returned is None else recorder.result,
                None if returned is None else recorder.error,
                invoked,
                returned,
            )
            for recorder, invoked, returned in self._log.positions()
            if isinstance(recorder, OperationRecorder)
        )

    @property
    def transactions(self) -> tuple[Transaction, ...]:
        """The transactions, in the order in which they began.

        Cost: O(length of the history).

        Example:
            >>> from atomos.testing import History
            >>> history = History()
            >>> with history.transaction("first") as t:
            ...     _ = t.append("log", 1)
            >>> [(one.name, one.committed) for one in history.transactions]
            [('first', True)]
        """
        found = [
            (recorder, invoked, returned)
            for recorder, invoked, returned in self._log.positions()
            if isinstance(recorder, TransactionRecorder)
        ]
        names = _distinct([recorder.name for recorder, _, _ in found])
        return tuple(
            Transaction(
                name,
                tuple(recorder.steps),
                tuple(recorder.lost),
                None if returned is None else recorder.error is None,
                invoked,
                returned,
            )
            for name, (recorder, invoked, returned) in zip(names, found, strict=True)
        )


def _distinct(names: list[str | None]) -> list[str]:
    """Return the names with numbers where they are needed."""
    count = Counter(names)
    taken: set[str] = {name for name in names if name is not None and count[name] == 1}
    result = []
    for position, name in enumerate(names):
        if name in taken:
            result.append(name)
            continue
        number = position + 1 if name is None else 1
        stem = "T" if name is None else f"{name}#"
        while (numbered := f"{stem}{number}") in taken:
            number += 1
        taken.add(numbered)
        result.append(numbered)
    return result


def refuse_no_history(history: object, where: str) -> None:
    """Raise `TypeError` if `history` is none."""
    if not isinstance(history, History):
        msg = (
            f"{where} needs a History, not {type(history).__name__} {shown(history)}: "
            "make one before the run, and record with its methods"
        )
        raise TypeError(msg)


def _refuse_other_than_types(unknown: object) -> None:
    kinds = unknown if isinstance(unknown, tuple) else (unknown,)
    types = all(isinstance(k, type) and issubclass(k, BaseException) for k in kinds)
    if kinds is not unknown or not types:
        msg = f"unknown must be a tuple of exception types, not {shown(unknown)}"
        raise TypeError(msg)
