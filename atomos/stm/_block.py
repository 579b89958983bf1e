"""Transaction blocks: ``with`` statements that are a transaction.

``for tx in dosync(): with tx:`` runs a block again: the iterator makes
attempts until one has committed, and `_callsite` sees to it that the block is
not left by another way than its end. ``with dosync():`` runs its block once,
holding what it touches.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Self

from atomos.errors import TransactionStateError
from atomos.stm._callsite import check_enter, check_exit
from atomos.stm._footprint import Restart
from atomos.stm._part import end_part
from atomos.stm._registry import my_record
from atomos.stm._run import Options
from atomos.stm._runner import notify, rolled_back, take_journal
from atomos.stm._scope import Scope
from atomos.stm._transaction import Transaction

if TYPE_CHECKING:
    from types import TracebackType

    from atomos.stm._callsite import LoopSite
    from atomos.stm._commit import Change

__all__ = ["PlainBlock", "RetryBlock", "RetryLoop"]


class PlainBlock(Scope):
    """A block that runs once and always commits."""

    __slots__ = ("_options",)
    _what = "a plain block"

    def __init__(self, options: Options) -> None:
        """Use `dosync` instead."""
        super().__init__()
        self._options = options

    def __enter__(self) -> Self:
        """Begin the block, when its turn has come."""
        self._refuse_if_used()
        self._start(None, self._options)
        return self

    if TYPE_CHECKING:

        def __exit__(
            self,
            kind: type[BaseException] | None,
            error: BaseException | None,
            trace: TracebackType | None,
        ) -> None: ...

    def _leave(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        tx = self._running(kind)
        if tx is None:
            return
        if self._part is not None:
            if kind is None:
                end_part(tx, self._part)
            self._end(tx)
            return
        changes: list[Change] | None = None
        try:
            if kind is None:
                changes = self._commit(tx)
        finally:
            self._end(tx)
            if changes is None:
                rolled_back(tx)
        notify(changes or [], take_journal(tx))


class RetryBlock(Scope):
    """One attempt of form 3: what the ``for`` statement yields."""

    __slots__ = ("_loop",)
    _what = "a block of dosync()"

    def __init__(self, loop: RetryLoop) -> None:
        """Made by iterating over ``dosync()``."""
        super().__init__()
        self._loop = loop

    def __enter__(self) -> RetryBlock:
        """Begin the attempt."""
        self._refuse_if_used()
        loop = self._loop
        check_enter(sys._getframe(1), loop.site)
        if loop.latest is not self:
            msg = "tx was entered after its turn of the loop: enter it at once"
            raise TransactionStateError(msg)
        if loop.tx is None:
            loop.tx = Transaction()
            label = loop.options.name or self._what
            loop.tx.start(loop.options, label, my_record(), rerunnable=True)
        else:
            # A generator may make each attempt in another thread.
            loop.tx.thread = my_record()
            loop.tx.ident = loop.tx.thread.ident
        try:
            self._start(loop.tx, loop.options)
        except BaseException:
            loop.done = True
            rolled_back(loop.tx)
            raise
        return self

    if TYPE_CHECKING:

        def __exit__(
            self,
            kind: type[BaseException] | None,
            error: BaseException | None,
            trace: TracebackType | None,
        ) -> bool: ...

    def _leave(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        frame = sys._getframe(1)
        tx, loop = self._running(kind), self._loop
        if tx is None:
            loop.done = True
            return False
        changes: list[Change] | None = None
        again = False
        try:
            if kind is None or (tx.doomed is not None and self._part is None):
                check_exit(frame, loop.site)
            if self._part is not None:
                if kind is None:
                    end_part(tx, self._part)
                return False
            if tx.doomed is None:
                if kind is not None:
                    return False
                changes = self._commit(tx)
            elif kind is None or issubclass(kind, (Exception, Restart)):
                again = True
            else:
                return False
        except Restart:
            if tx.doomed is None:
                raise
            again = True
        finally:
            self._end(tx)
            if not again:
                loop.done = True
                loop.latest = None  # they point at each other
                if changes is None and self._part is None:
                    rolled_back(tx)
        if changes is not None:
            notify(changes, take_journal(tx))
        return True


class RetryLoop:
    """The iterator of form 3.

    Attributes:
        tx: Whose attempts it makes; None before the first is entered.
        site: Where in the caller's bytecode the loop is.
        latest: The attempt yielded last.
        done: The block has committed, or was left by an exception.
    """

    __slots__ = ("done", "latest", "options", "site", "tx")

    def __init__(self, options: Options, site: LoopSite) -> None:
        self.options = options
        self.site = site
        self.tx: Transaction | None = None
        self.latest: RetryBlock | None = None
        self.done = False

    def __iter__(self) -> RetryLoop:
        return self

    def __next__(self) -> RetryBlock:
        if self.done:
            raise StopIteration
        if self.latest is not None and self.latest._tx is None:
            msg = "dosync() was iterated without entering the block: add `with tx:`"
            raise TransactionStateError(msg)
        self.latest = RetryBlock(self)
        return self.latest
