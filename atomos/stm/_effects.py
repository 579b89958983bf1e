"""no_transaction: code with effects that must not be repeated."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar, overload

from atomos.errors import InTransactionError
from atomos.stm._fitness import refuse_uncallable
from atomos.stm._inside import inside

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["NoTransaction", "no_transaction"]

P = ParamSpec("P")
R = TypeVar("R")


class NoTransaction:
    """What `no_transaction()` returns: a decorator, and a context manager."""

    __slots__ = ()

    def __call__(self, fn: Callable[P, R], /) -> Callable[P, R]:
        """Have `fn` refuse to run in a transaction that may run again."""
        refuse_uncallable(fn, "no_transaction")
        name = getattr(fn, "__qualname__", "a function")

        @wraps(fn)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            _refuse(f"{name}() was called")
            return fn(*args, **kwargs)

        return guarded

    def __enter__(self) -> None:
        """Refuse to go on in a transaction that may run again."""
        _refuse("a `with no_transaction():` block was entered")

    def __exit__(self, *error: object) -> None:
        """Do nothing."""

    def __repr__(self) -> str:
        return "no_transaction()"


def _refuse(what: str) -> None:
    tx = inside()
    if tx is not None and tx.rerunnable:
        msg = (
            f"{what} inside of {tx.label}, which may run again, and so would its "
            "effects: put it into after_commit(), send it to an agent, or make the "
            "transaction a plain `with dosync():` block"
        )
        raise InTransactionError(msg)


@overload
def no_transaction() -> NoTransaction: ...


@overload
def no_transaction(fn: Callable[P, R], /) -> Callable[P, R]: ...


def no_transaction(
    fn: Callable[P, R] | None = None, /
) -> NoTransaction | Callable[P, R]:
    """Mark code with effects that must not be repeated: decorator, or `with` block.

    Inside a transaction that may run again it raises; in a plain block, which runs
    once, and outside of transactions it does nothing. As Clojure's ``io!``.

    Args:
        fn: The function to decorate, as in bare ``@no_transaction``.

    Returns:
        The decorated function, or an object to decorate with or to enter.

    Raises:
        InTransactionError: When the code is run: a transaction that may run again is
            running.
        TypeError: `fn` is not callable.

    Cost: O(1).

    Source: clojure.core/io!

    Example:
        >>> from atomos import dosync, no_transaction
        >>> @no_transaction
        ... def send_mail():
        ...     print("sent")
        >>> with dosync():
        ...     send_mail()
        sent
        >>> dosync(send_mail)()
        Traceback (most recent call last):
            ...
        atomos.errors.InTransactionError: ...
    """
    guard = NoTransaction()
    return guard if fn is None else guard(fn)
