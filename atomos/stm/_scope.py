"""The scope of a ``with`` statement around a transaction, or a part of one.

It must end even if an asynchronous exception hits just as its ``__exit__`` is
entered, before the first line of it has run. So the ``__exit__`` that a
``with`` statement looks up is a fresh object which only the statement's own
stack holds: a lifeline. When that object is gone and the scope is still open,
its transaction is given up. The same ends a block whose generator or coroutine
was dropped.
"""

from __future__ import annotations

import weakref
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from atomos.errors import TransactionStateError
from atomos.stm._commit import commit
from atomos.stm._footprint import CUT_SHORT
from atomos.stm._handle import Handle, run_before_commit
from atomos.stm._inside import inside
from atomos.stm._part import begin_part, undo_part
from atomos.stm._registry import my_record
from atomos.stm._runner import finish, join, rolled_back
from atomos.stm._seat import Seat, current, get_up, sit_in_block
from atomos.stm._transaction import Transaction

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from atomos.stm._commit import Change
    from atomos.stm._journal import Part
    from atomos.stm._run import Options

__all__ = ["Scope"]


class _ExitLookup:
    """What ``__exit__`` is on the class: hands out the lifeline of a block."""

    def __get__(self, block: Scope | None, kind: type[Scope]) -> Callable[..., Any]:
        if block is None:
            return kind._leave
        return block._make_lifeline()


class Scope(Handle):
    """One ``with`` statement around a transaction, or around a part of one.

    Attributes:
        _tx: Its transaction, or the outer one that it has joined; None before
            it is entered.
        _part: If `_tx` belongs to an outer call, the part of it that this block is.
        _what: What messages call it if it was given no name.
        _seat: Where its transaction is found; None before it is entered.
        _before: The seat that was used in this context before it.
        _open: Between enter and exit.
        _lifeline: Dies with the ``with`` statement.
    """

    __slots__ = (
        "__weakref__",
        "_before",
        "_lifeline",
        "_open",
        "_part",
        "_seat",
    )

    _what: ClassVar[str]

    def __init__(self) -> None:
        self._tx: Transaction | None = None
        self._part: Part | None = None
        self._before: Seat | None = None
        self._seat: Seat | None = None
        self._open = False
        self._number = 0
        self._view: object = None
        self._lifeline: weakref.ref[partial[bool | None]] | None = None

    if not TYPE_CHECKING:
        __exit__ = _ExitLookup()

    def _refuse_if_used(self) -> None:
        """Raise `TransactionStateError` if it has been entered."""
        if self._tx is not None:
            msg = (
                "a transaction block was entered or used twice, or after its end: "
                "make a new one with dosync() for each use"
            )
            raise TransactionStateError(msg)

    def _start(self, tx: Transaction | None, options: Options) -> Transaction:
        """Begin an attempt, or join the transaction that is running.

        Args:
            tx: Whose next attempt it is; None for a new plain block.
            options: What was asked for.
        """
        outer = inside()
        if outer is not None:
            label = options.name or self._what
            self._part = begin_part(outer, join(outer, options, label))
            tx = self._tx = outer
        else:
            self._before = current.get()
            if tx is None:
                tx = Transaction()
                label = options.name or self._what
                tx.start(options, label, my_record(), rerunnable=False)
            self._tx = tx
            try:
                tx.begin()
                seat = self._seat = Seat(tx.thread)
                seat.tx = tx
                sit_in_block(seat)
            except BaseException:
                self._end(tx)
                raise
        self._number = tx.attempts
        self._view = tx.view
        self._open = True
        return tx

    def _make_lifeline(self) -> partial[bool | None]:
        leave = partial(type(self)._leave, self)
        if self._lifeline is None:
            self._lifeline = weakref.ref(leave, self._dropped)
        return leave

    def _dropped(self, _: object) -> None:
        """Give up: the ``with`` statement is gone and has not left in full."""
        tx = self._tx
        if self._open and tx is not None:
            self._end(tx)
            if self._part is None:
                rolled_back(tx)

    def _get_up(self, tx: Transaction) -> None:
        """Be outside from now on: the block has ended."""
        tx.running = False
        seat = self._seat
        if seat is not None:
            get_up(seat, self._before)

    def _commit(self, tx: Transaction) -> list[Change]:
        """Commit what this block has begun, and be outside of it before."""
        if tx.journal is not None:
            run_before_commit(tx)
        self._get_up(tx)
        return commit(tx)

    def _end(self, tx: Transaction) -> None:
        """End what this block has begun; again if cut short."""
        part = self._part
        if part is not None:
            here = tx.view is self._view and tx.running
            if here and part.open and not tx.doomed:
                tx.doomed = CUT_SHORT
                undo_part(tx, part)
        else:
            self._get_up(tx)
            finish(tx)
            # The caller may keep `tx`, but not alive what it has touched.
            tx.view.clear()
            tx.writes.clear()
        self._open, self._view = False, None

    def _leave(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        raise AssertionError  # each form has its own

    def _running(self, kind: type[BaseException] | None) -> Transaction | None:
        """Return the transaction of this block, which is being left.

        Args:
            kind: The exception that leaves it, if any.

        Returns:
            None when it is left by an exception where it cannot commit anyway.

        Raises:
            TransactionStateError: It should commit, but is not running, or is
                left in another thread or task than it was entered in.
        """
        tx = self._tx
        if tx is None or not self._open:
            msg = "a transaction block was left that is not running: nothing to commit"
        elif self._part is not None:
            if tx.running and tx.view is self._view and self._part.open:
                return tx
            self._open, self._view = False, None
            msg = (
                "a transaction block was left after the transaction of which it was a "
                "part had ended: what it did since then was no part of it"
            )
        elif tx.is_here() and not tx.thread.dead:
            return tx
        else:
            self._end(tx)
            rolled_back(tx)
            msg = (
                f"{tx.label} was left in another thread or task than it was entered "
                "in: nothing was written"
            )
        if kind is None:
            raise TransactionStateError(msg)
        return None
