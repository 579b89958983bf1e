"""Ref: a location that transactions read and write together with others."""

from __future__ import annotations

from _thread import get_ident
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, TypeVar

from atomos.errors import NoTransactionError
from atomos.reference import ARef
from atomos.stm._arguments import shown
from atomos.stm._cell import latest
from atomos.stm._fitness import refuse_uncallable
from atomos.stm._history import check, count, trim_all
from atomos.stm._inside import inside
from atomos.stm._owner import Asyncio, modules
from atomos.stm._run import is_count
from atomos.stm._seat import new_seat, seats
from atomos.stm._turn import FREE

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Concatenate

    from atomos.stm._cell import Version
    from atomos.stm._seat import Seat

__all__ = ["Ref"]

T = TypeVar("T")
P = ParamSpec("P")


class Ref(ARef[T]):
    """A reference for transactions over several of them.

    Raises:
        TypeError: `validator` is not callable, or `name` is no str.
        ValidationError: `validator` refuses `value`.
        ValueError: `max_history` is no whole number from 0 on.

    Cost: to make one, O(1) and 144 bytes without the value (CPython 3.11); 136 more
    with a name, a validator, metadata or `max_history`.

    Source: the ref of Clojure, with the names of its functions

    Example:
        >>> from atomos import Ref, dosync
        >>> stock, sold = Ref(10), Ref(0)
        >>> with dosync():
        ...     _ = stock.alter(lambda n: n - 1)
        ...     _ = sold.alter(lambda n: n + 1)
        >>> stock, sold
        (Ref(9), Ref(1))
    """

    __slots__ = ()

    def __init__(
        self,
        value: T,
        *,
        name: str | None = None,
        validator: Callable[[T], object] | None = None,
        meta: Any = None,
        max_history: int | None = None,
    ) -> None:
        """Start with `value`, which open snapshots see, too.

        Args:
            value: Any object; treat it as immutable.
            name: What `repr` and errors call it.
            validator: Called with each value before it is committed; a false
                answer or an exception refuses it.
            meta: Metadata, any object.
            max_history: How many old versions may be kept for open snapshots;
                None for as many as they need.
        """
        if max_history is not None and not is_count(max_history, 0):
            msg = (
                "max_history must be a whole number from 0 on, or None, "
                f"not {shown(max_history)}"
            )
            raise ValueError(msg)
        super().__init__(value, name=name, validator=validator, meta=meta)
        if max_history is not None:
            self._need_extras().max_history = max_history

    def deref(self) -> T:
        """Return the value: in a transaction its own, else the latest committed.

        Raises:
            HistoryLostError: `max_history` has dropped the version that a read_only
                transaction or a plain block needs.

        Cost: O(1) outside a transaction and for the second read in one; the
        first read in one is O(1), or O(log history) for an old version. Never
        waits for a writer, except in a plain block.

        Source: clojure.core/deref

        Example:
            >>> from atomos import Ref
            >>> Ref(7).deref()
            7
        """
        try:
            seat: Seat = seats[get_ident()]
        except KeyError:
            seat = new_seat()
        if (tx := seat.tx) is not None:
            if tx.running and (
                "asyncio.tasks" not in (seat.thread.modules if FREE else modules)
                or (tx.task is None and Asyncio.running_loop() is None)
            ):
                # As `tx.read`, where nothing is in the way, without its call.
                version: Version[T] | None = tx.view.get(self)
                if version is None:
                    version = self._newest
                    if 0 < version.number <= tx.point:
                        tx.view[self] = version
                        return version.value
                elif version.number >= 0:
                    return version.value
                value: T = tx.read(self)
                return value
            here = inside()
            if here is not None:
                return here.read(self)
        newest = self._newest
        return newest.value if newest.number > 0 else latest(self).value

    def set(self, value: T) -> T:
        """Let the ref have `value` when the transaction commits; return it.

        Raises:
            NoTransactionError: No transaction is running.
            ReadOnlyError: It is read_only.
            ValidationError: At the commit: the validator refuses the value.

        Cost: O(1).

        Source: clojure.core/ref-set

        Example:
            >>> from atomos import Ref, atomically
            >>> atomically(Ref(7).set, 8)
            8
        """
        try:
            seat: Seat = seats[get_ident()]
        except KeyError:
            seat = new_seat()
        if (
            (tx := seat.tx) is not None
            and tx.running
            and (
                "asyncio.tasks" not in (seat.thread.modules if FREE else modules)
                or (tx.task is None and Asyncio.running_loop() is None)
            )
        ):
            tx.write(self, value)
        else:
            (inside() or self._no_transaction("set")).write(self, value)
        return value

    def alter(
        self, fn: Callable[Concatenate[T, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Set the ref to ``fn(value, *args, **kwargs)`` and return that.

        Raises:
            NoTransactionError: No transaction is running.
            ReadOnlyError: It is read_only.
            TypeError: `fn` is not callable.
            ValidationError: At the commit: the validator refuses the value.

        Cost: one read, one call of `fn`, one write.

        Source: clojure.core/alter

        Example:
            >>> from atomos import Ref, atomically
            >>> atomically(Ref(7).alter, max, 9)
            9
        """
        tx = inside()
        if tx is None:
            self._no_transaction("alter")
        if tx.read_only:
            tx.refuse_if_read_only(self)
        before = tx.read(self)
        try:
            value = fn(before, *args, **kwargs)
        except TypeError:
            refuse_uncallable(fn, "alter")
            raise
        tx.write(self, value)
        return value

    def commute(
        self, fn: Callable[Concatenate[T, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> None:
        """Set the ref to ``fn(newest, *args, **kwargs)`` when committing.

        For functions whose order does not matter, such as adding. Computed on
        the newest value at the commit, so that two transactions that only
        commute a ref never make each other run again. `fn` may be called more
        than once, and may use nothing but its arguments.

        Raises:
            NoTransactionError: No transaction is running.
            ReadOnlyError: It is read_only.
            TypeError: `fn` is not callable.
            CommuteError: At the commit: `fn` touched a ref.
            ValidationError: At the commit: the validator refuses the value.

        Cost: O(1) now, one call of `fn` or more at the commit.

        Source: clojure.core/commute, which returns what it has computed so far

        Example:
            >>> from atomos import Ref, atomically
            >>> hits = Ref(7)
            >>> atomically(hits.commute, lambda n: n + 1)
            >>> hits
            Ref(8)
        """
        tx = inside() or self._no_transaction("commute")
        refuse_uncallable(fn, "commute")
        tx.commute(self, (fn, args, kwargs))

    def ensure(self) -> T:
        """Read the ref, and commit only if nobody changes it meanwhile.

        With ``isolation="snapshot"`` this closes write skew for this ref. With
        the default isolation every read is ensured.

        Raises:
            NoTransactionError: No transaction is running.

        Cost: as `deref`; one comparison at the commit.

        Source: clojure.core/ensure

        Example:
            >>> from atomos import Ref, atomically
            >>> atomically(Ref(7).ensure)
            7
        """
        return (inside() or self._no_transaction("ensure")).ensure(self)

    @property
    def history_count(self) -> int:
        """How many old versions are kept for open snapshots.

        Cost: O(history), up to 32.

        Source: clojure.core/ref-history-count

        Example:
            >>> from atomos import Ref
            >>> Ref(7).history_count
            0
        """
        return count(self)

    def trim_history(self) -> None:
        """Drop the old versions that no open snapshot needs.

        Each commit on the ref does this too.

        Cost: O(history log history).

        Example:
            >>> from atomos import Ref
            >>> Ref(7).trim_history()
        """
        trim_all(self)

    def _no_transaction(self, call: str) -> NoReturn:
        msg = (
            f"{self._label()}.{call}() was called outside a transaction: put it into "
            "a function with @dosync, or a `with dosync():` block"
        )
        raise NoTransactionError(msg)

    def _check(self) -> None:
        """Assert the invariants of value and history, at rest."""
        check(self)
