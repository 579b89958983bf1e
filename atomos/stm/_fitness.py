"""Which functions can be a transaction."""

from __future__ import annotations

import inspect
from functools import lru_cache, partial, partialmethod
from types import FunctionType, MethodType, WrapperDescriptorType
from typing import Any, Final

from atomos.stm._arguments import shown

__all__ = ["refuse_uncallable", "refuse_unfit"]

#: Flags of a code object, see the `inspect` module of the standard library.
_KINDS = {
    inspect.CO_GENERATOR: "a generator function: it would only begin to run when "
    "iterated over, after the transaction; return a list instead",
    inspect.CO_COROUTINE: "a coroutine function: it would run after the transaction, "
    "and a transaction may not await; await first, and make the part that uses refs a "
    "plain function",
    inspect.CO_ASYNC_GENERATOR: "an async generator function: it would run after the "
    "transaction; collect the values in a plain function instead",
}
_ANY_KIND = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
#: How many layers around a function are looked through.
_DEEPEST = 100


class _Sample:
    part = partialmethod(len)


#: What `functools` makes of a `partialmethod` that is got from its class.
_PART: Final = getattr(_Sample.part, "__code__", None)
#: What `inspect.markcoroutinefunction` of 3.12 leaves on a function. Private, but
#: to look for it costs a twelfth of asking `inspect`.
_MARKER: Final = "_is_coroutine_marker"
_CACHE: Final = type(lru_cache(len))


def refuse_unfit(fn: object, where: str) -> None:
    """Raise if `fn` cannot be run again as a transaction.

    Looks through what does nothing but call a function and return what that
    returns: methods, `partial`, `staticmethod`, `lru_cache` and objects with a
    ``__call__``. A function that was made with `functools.wraps` is judged by its
    own code, since it may well make a list of a generator.

    Args:
        fn: What was given.
        where: To what, for the message.

    Raises:
        TypeError: It is not callable, or returns before its code has run.
    """
    inner: Any = fn.__func__ if type(fn) is MethodType else fn
    # Plain functions and methods first: `atomically` asks each time.
    if type(inner) is FunctionType:
        code = inner.__code__
        if (
            not code.co_flags & _ANY_KIND
            and code is not _PART
            and getattr(inner, _MARKER, None) is None
        ):
            return
    refuse_uncallable(fn, where)
    kind = _kind_of(inner)
    if kind is not None:
        msg = f"{where} was given {_KINDS[kind]}"
        raise TypeError(msg)


def _kind_of(fn: Any) -> int | None:
    """Return the flag of what `fn` is in the end, None if it can be run again."""
    for _ in range(_DEEPEST):
        code = getattr(fn, "__code__", None)
        flags = getattr(code, "co_flags", 0)
        for flag in _KINDS:
            if flags & flag:
                return flag
        marker = getattr(fn, _MARKER, None)
        if marker is not None and inspect.iscoroutinefunction(fn):
            return inspect.CO_COROUTINE
        fn = _inside(fn)
        if fn is None:
            break
    return None


def _inside(fn: Any) -> Any:
    """Return what `fn` does nothing but call, None if it is the last."""
    if isinstance(fn, partial):
        return fn.func
    if isinstance(fn, (MethodType, staticmethod)):
        return fn.__func__
    if isinstance(fn, _CACHE):
        return fn.__wrapped__
    if isinstance(fn, FunctionType):
        parts = vars(fn).values() if fn.__code__ is _PART else ()
        found = (part.func for part in parts if isinstance(part, partialmethod))
        return next(found, None)
    call = type(fn).__call__
    return None if isinstance(call, WrapperDescriptorType) else call


def refuse_uncallable(fn: object, where: str) -> None:
    """Raise `TypeError` if `fn` cannot be called."""
    if not callable(fn):
        msg = f"{where} needs a function, not {type(fn).__name__} {shown(fn)}"
        if isinstance(fn, (classmethod, partialmethod, property)):
            msg += "; give it the function below that"
        raise TypeError(msg)
