"""`dosync` and `atomically`: the four forms of a transaction.

1. ``@dosync`` on a function and 2. ``atomically(fn)`` run a function again
until it commits (`_runner.run`).

3. ``for tx in dosync(): with tx:`` runs a block again: the iterator makes
attempts until one has committed, and `_callsite` sees to it that the block is
not left by another way than its end.

4. ``with dosync():`` runs its block once, holding what it touches.

A block of form 3 or 4 must end even if an asynchronous exception hits just as
its ``__exit__`` is entered, before the first line of it has run. So the
``__exit__`` that a ``with`` statement looks up is a fresh object which only the
statement's own stack holds. When that object is gone and ``__exit__`` has not
run, the block is over: its transaction is given up then. The same ends a block
whose generator or coroutine was dropped.
"""

from __future__ import annotations

import sys
import weakref
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from atomos.errors import TransactionStateError
from atomos.stm._callsite import check_exit, loop_site
from atomos.stm._commit import commit
from atomos.stm._fitness import refuse_unfit
from atomos.stm._footprint import Restart
from atomos.stm._owner import current
from atomos.stm._run import Options, make_options
from atomos.stm._runner import finish, join, notify, run
from atomos.stm._transaction import Transaction, inside

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from atomos.stm._callsite import LoopSite
    from atomos.stm._owner import Owner

__all__ = ["PlainBlock", "RetryBlock", "atomically", "dosync"]

P = ParamSpec("P")
R = TypeVar("R")


class _ExitLookup:
    """What ``__exit__`` is on the class: hands out the lifeline of a block."""

    def __get__(self, block: _Block | None, kind: type[_Block]) -> Callable[..., Any]:
        if block is None:
            return kind._leave
        return block._make_lifeline()


class _Block:
    """One ``with`` statement around a transaction, or around a part of one.

    Attributes:
        _tx: Its transaction, or the outer one that it has joined; None before
            it is entered.
        _number: The number of the attempt.
        _joined: `_tx` belongs to an outer call.
        _was_read_only: What `join` said.
        _before: What was current before it.
        _open: Between enter and exit.
        _lifeline: Dies with the ``with`` statement.
    """

    __slots__ = (
        "__weakref__",
        "_before",
        "_joined",
        "_lifeline",
        "_number",
        "_open",
        "_tx",
        "_was_read_only",
    )

    def __init__(self) -> None:
        self._tx: Transaction | None = None
        self._joined = False
        self._was_read_only = False
        self._before: Owner | None = None
        self._open = False
        self._number = 0
        self._lifeline: weakref.ref[partial[bool | None]] | None = None

    if not TYPE_CHECKING:
        __exit__ = _ExitLookup()

    @property
    def attempt(self) -> int:
        """The number of this attempt, from 1 on.

        Raises:
            TransactionStateError: The block is not running.

        Example:
            >>> from atomos import dosync
            >>> for tx in dosync():
            ...     with tx:
            ...         print(tx.attempt)
            1
        """
        if not self._open or self._tx is None:
            msg = "tx was used outside of its block: use it inside of `with` only"
            raise TransactionStateError(msg)
        return self._number

    def _enter_once(self) -> None:
        if self._tx is not None:
            msg = (
                "a transaction block was entered twice, or after its end: make a "
                "new one with dosync() for each `with`"
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
            self._was_read_only = join(outer, options)
            self._joined = True
            tx = self._tx = outer
        else:
            self._before = current.get()
            if tx is None:
                tx = Transaction()
                tx.start(options, options.name or "a plain block", rerunnable=False)
            self._tx = tx
            try:
                tx.begin()
                current.set(tx)
            except BaseException:
                finish(tx, self._before)
                raise
        self._number = tx.attempts
        self._open = True
        return tx

    def _make_lifeline(self) -> partial[bool | None]:
        leave = partial(type(self)._leave, self)
        if self._lifeline is None:
            self._lifeline = weakref.ref(leave, self._dropped)
        return leave

    def _dropped(self, _: object) -> None:
        """Give up: the ``with`` statement is gone and has not called exit."""
        tx = self._tx
        if not self._open or tx is None:
            return
        self._open = False
        if self._joined:
            tx.read_only = self._was_read_only
        else:
            # Whoever drops it may be in another thread's context.
            finish(tx, self._before if current.get() is tx else current.get())

    def _leave(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        raise AssertionError  # each form has its own

    def _close(self) -> Transaction:
        """Mark the block as left; return its transaction.

        Raises:
            TransactionStateError: It is left in another thread or task.
        """
        tx = self._tx
        was_open, self._open = self._open, False
        if tx is None or not was_open:
            msg = "a transaction block was left that is not running: nothing to commit"
            raise TransactionStateError(msg)
        if self._joined:
            tx.read_only = self._was_read_only
        elif not tx.is_here():
            finish(tx, current.get())
            msg = (
                f"{tx.label} was left in another thread or task than it was "
                "entered in: nothing was written"
            )
            raise TransactionStateError(msg)
        return tx


class PlainBlock(_Block):
    """What ``dosync(...)`` returns: a decorator, a loop, or a plain block."""

    __slots__ = ("_options",)

    def __init__(self, options: Options) -> None:
        """Use `dosync` instead."""
        super().__init__()
        self._options = options

    def __repr__(self) -> str:
        """Show what was asked for."""
        asked = self._options._asdict().items()
        given = ", ".join(f"{k}={v!r}" for k, v in asked if v not in (None, False))
        return f"dosync({given})"

    def __call__(self, fn: Callable[P, R], /) -> Callable[P, R]:
        """Form 1 with arguments: ``@dosync(timeout=2.0)``."""
        return _decorate(self._options, fn)

    def __iter__(self) -> Iterator[RetryBlock]:
        """Form 3: attempts until one commits."""
        return _Loop(self._options)

    def __enter__(self) -> PlainBlock:
        """Form 4: a block that runs once and always commits."""
        self._enter_once()
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
        tx = self._close()
        if self._joined:
            return
        try:
            if error is not None or kind is not None:
                return
            current.set(self._before)
            changes = commit(tx)
        finally:
            finish(tx, self._before)
        notify(changes)


class RetryBlock(_Block):
    """One attempt of form 3: what the ``for`` statement yields."""

    __slots__ = ("_loop",)

    def __init__(self, loop: _Loop) -> None:
        """Made by iterating over ``dosync()``."""
        super().__init__()
        self._loop = loop

    def __enter__(self) -> RetryBlock:
        """Begin the attempt."""
        self._enter_once()
        loop = self._loop
        if loop.latest is not self:
            msg = "tx was entered after its turn of the loop: enter it at once"
            raise TransactionStateError(msg)
        if loop.tx is None:
            loop.tx = Transaction()
            label = loop.options.name or "a block of dosync()"
            loop.tx.start(loop.options, label, rerunnable=True)
        self._start(loop.tx, loop.options)
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
        tx = self._close()
        loop = self._loop
        if self._joined:
            loop.done = True
            if kind is None:
                check_exit(frame, loop.site)
            return False
        try:
            if kind is None:
                check_exit(frame, loop.site)
                current.set(self._before)
                if tx.doomed is None:
                    changes = commit(tx)
                    loop.done = True
            elif tx.doomed is None or not issubclass(kind, (Exception, Restart)):
                loop.done = True
                return False
        except Restart:
            if tx.doomed is None:
                raise
        finally:
            finish(tx, self._before)
        if loop.done:
            notify(changes)
        else:
            tx.lost_to = tx.doomed
        return True


class _Loop:
    """The iterator of form 3.

    Attributes:
        tx: Whose attempts it makes; None before the first is entered.
        site: Where in the caller's bytecode the loop is.
        latest: The attempt yielded last.
        done: The block has committed, or was left by an exception.
    """

    __slots__ = ("done", "latest", "options", "site", "tx")

    def __init__(self, options: Options) -> None:
        self.options = options
        self.tx: Transaction | None = None
        self.latest: RetryBlock | None = None
        self.done = False
        self.site: LoopSite

    def __iter__(self) -> _Loop:
        return self

    def __next__(self) -> RetryBlock:
        if self.latest is None:
            self.site = loop_site(sys._getframe(1))
        elif self.done:
            raise StopIteration
        elif self.latest._tx is None:
            msg = "dosync() was iterated without entering the block: add `with tx:`"
            raise TransactionStateError(msg)
        self.latest = RetryBlock(self)
        return self.latest


def _decorate(options: Options, fn: Callable[P, R]) -> Callable[P, R]:
    refuse_unfit(fn, "@dosync")
    label = options.name or getattr(fn, "__qualname__", repr(fn))

    @wraps(fn)
    def transaction(*args: P.args, **kwargs: P.kwargs) -> R:
        return run(options, label, fn, args, kwargs)

    return transaction


_DEFAULT = Options()


@overload
def dosync(fn: Callable[P, R], /) -> Callable[P, R]: ...


@overload
def dosync(
    *,
    isolation: str | None = None,
    read_only: bool = False,
    timeout: float | None = None,
    max_attempts: int | None = None,
    name: str | None = None,
) -> PlainBlock: ...


def dosync(
    fn: Callable[P, R] | None = None,
    /,
    *,
    isolation: str | None = None,
    read_only: bool = False,
    timeout: float | None = None,
    max_attempts: int | None = None,
    name: str | None = None,
) -> Callable[P, R] | PlainBlock:
    """Run code as a transaction: decorator, loop or plain block.

    All reads and writes of Refs, Atoms and atomics inside take effect at one
    instant, or not at all. Functions (``@dosync``) and loops (``for tx in
    dosync(): with tx:``) are run again until they commit, so they should have
    no other effects. A plain block (``with dosync():``) runs once; such blocks
    run one at a time, so slow work in one delays the others. A call inside of
    a running transaction joins it.

    Args:
        fn: The function to decorate, as in bare ``@dosync``.
        isolation: ``"serializable"``, the default of an outermost call, or
            ``"snapshot"``, which lets write skew happen. Inherited when nested.
        read_only: Read one snapshot, take nothing, wait for nobody; writes
            raise `ReadOnlyError`.
        timeout: Seconds within which it must commit. Bounds waits and the
            number of attempts; it does not interrupt the body.
        max_attempts: Attempts after which it gives up. A plain block has one.
        name: What messages call it; the function's name if left out.

    Returns:
        The decorated function, or an object to decorate, loop over or enter.

    Raises:
        ValueError: An argument has a value that is not allowed.
        TypeError: `fn` is no function that can be run again.

    Cost: about that of four method calls each for begin and commit, plus two
    locks for each cell written.

    Example:
        >>> from atomos import Ref, dosync
        >>> checking, savings = Ref(100), Ref(0)
        >>> @dosync
        ... def transfer(amount):
        ...     checking.alter(lambda balance: balance - amount)
        ...     savings.alter(lambda balance: balance + amount)
        >>> transfer(30)
        >>> with dosync(read_only=True):
        ...     print(checking.deref(), savings.deref())
        70 30
    """
    if fn is not None:
        return _decorate(_DEFAULT, fn)
    return PlainBlock(
        make_options(isolation, read_only, timeout, max_attempts, name)
    )


def atomically(fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Run ``fn(*args, **kwargs)`` as one transaction now; return its value.

    Args:
        fn: Called again until its transaction commits.
        *args: Passed on.
        **kwargs: Passed on.

    Returns:
        The value of the attempt that committed.

    Raises:
        TypeError: `fn` is no function that can be run again.
        BaseException: What `fn` raises; nothing is written then.

    Cost: as `dosync`.

    Example:
        >>> from atomos import Ref, atomically
        >>> hits = Ref(0)
        >>> atomically(hits.alter, lambda n: n + 1)
        1
    """
    refuse_unfit(fn, "atomically")
    return run(_DEFAULT, getattr(fn, "__qualname__", "a function"), fn, args, kwargs)
