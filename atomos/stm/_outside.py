"""Running something outside of the transaction that is running."""

from __future__ import annotations

from _thread import get_ident
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from atomos.stm._fitness import refuse_uncallable
from atomos.stm._seat import new_seat, run_over, seats

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["outside"]

P = ParamSpec("P")
R = TypeVar("R")


def outside(fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a function outside of the running transaction, as if in another thread.

    For signal handlers and finalizers: they run in the middle of other code, and if
    that is a transaction they are inside of it. Also to write what must stay when the
    transaction is undone, such as a count of attempts.

    Args:
        fn: Sees what is committed, and commits on its own. Where no transaction is
            running it is just called.
        *args: Passed to `fn`.
        **kwargs: Passed to `fn`.

    Returns:
        What `fn` returns.

    Raises:
        TypeError: `fn` is not callable.
        WouldDeadlockError: `fn` writes what the transaction around it holds.
        BaseException: What `fn` raises.

    Cost: two stores into a dict.

    Example:
        >>> from atomos import AtomicInteger, Ref, dosync, outside
        >>> attempts, stock = AtomicInteger(), Ref(0)
        >>> @dosync
        ... def sell():
        ...     outside(attempts.increment_and_get)
        ...     if stock.alter(lambda n: n - 1) < 0:
        ...         raise ValueError("sold out")
        >>> sell()
        Traceback (most recent call last):
            ...
        ValueError: sold out
        >>> attempts.get(), stock.deref()
        (1, 0)
    """
    refuse_uncallable(fn, "outside")
    seat = seats.get(get_ident()) or new_seat()
    return run_over(seat, fn, *args, **kwargs)
