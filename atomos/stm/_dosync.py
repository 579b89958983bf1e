"""`dosync` and `atomically`: the four forms of a transaction.

1. ``@dosync`` on a function and 2. ``atomically(fn)`` run a function again
until it commits (`_runner`). 3. ``for tx in dosync(): with tx:`` and
4. ``with dosync():`` are blocks (`_block`).
"""

from __future__ import annotations

import sys
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar, overload

from atomos.stm._block import PlainBlock, RetryLoop
from atomos.stm._callsite import loop_site
from atomos.stm._fitness import refuse_unfit
from atomos.stm._run import DEFAULT, make_options
from atomos.stm._runner import transactional

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Literal

    from atomos.stm._block import RetryBlock
    from atomos.stm._run import Options

__all__ = ["Dosync", "atomically", "dosync"]

P = ParamSpec("P")
R = TypeVar("R")


class Dosync(PlainBlock):
    """What ``dosync(...)`` returns: a decorator, a loop, or a plain block.

    Example:
        >>> from atomos import dosync
        >>> dosync(timeout=2.0)
        dosync(timeout=2.0)
    """

    __slots__ = ()

    def __repr__(self) -> str:
        """Show what was asked for."""
        asked = self._options._asdict().items()
        given = ", ".join(
            f"{k}={v!r}" for k, v in asked if v is not None and v is not False
        )
        return f"dosync({given})"

    def __call__(self, fn: Callable[P, R], /) -> Callable[P, R]:
        """Form 1 with arguments: ``@dosync(timeout=2.0)``."""
        self._refuse_if_used()
        return _decorate(self._options, fn)

    def __iter__(self) -> Iterator[RetryBlock]:
        """Form 3: attempts until one commits."""
        self._refuse_if_used()
        return RetryLoop(self._options, loop_site(sys._getframe(1)))


def _decorate(options: Options, fn: Callable[P, R]) -> Callable[P, R]:
    refuse_unfit(fn, "@dosync")
    label = options.name or _name_of(fn)
    return wraps(fn)(transactional(options, label, fn))


def _name_of(fn: object) -> str:
    name: str = getattr(fn, "__qualname__", "a function")
    return name


@overload
def dosync(fn: Callable[P, R], /) -> Callable[P, R]: ...


@overload
def dosync(
    *,
    isolation: Literal["serializable", "snapshot"] | None = None,
    read_only: bool = False,
    timeout: float | None = None,
    max_attempts: int | None = None,
    name: str | None = None,
) -> Dosync: ...


def dosync(
    fn: Callable[P, R] | None = None,
    /,
    *,
    isolation: Literal["serializable", "snapshot"] | None = None,
    read_only: bool = False,
    timeout: float | None = None,
    max_attempts: int | None = None,
    name: str | None = None,
) -> Callable[P, R] | Dosync:
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

    Cost: about 45 empty method calls for begin and commit, and 10 for each call on
    a cell inside (CPython 3.11).

    Source: clojure.core/dosync, for the function and the name

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
    options = make_options(isolation, read_only, timeout, max_attempts, name)
    if fn is None:
        return Dosync(options)
    if options != DEFAULT:
        msg = "dosync takes a function or options, not both: use @dosync(...) above it"
        raise TypeError(msg)
    return _decorate(DEFAULT, fn)


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

    Source: atomically of Haskell's Control.Concurrent.STM

    Example:
        >>> from atomos import Ref, atomically
        >>> hits = Ref(0)
        >>> atomically(hits.alter, lambda n: n + 1)
        1
    """
    refuse_unfit(fn, "atomically")
    return transactional(DEFAULT, _name_of(fn), fn)(*args, **kwargs)
