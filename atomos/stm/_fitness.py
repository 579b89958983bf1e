"""Which functions can be a transaction."""

from __future__ import annotations

from functools import partial

from atomos.stm._arguments import shown

__all__ = ["refuse_uncallable", "refuse_unfit"]

#: Flags of a code object, see the `inspect` module of the standard library.
_KINDS = {
    0x20: "a generator function: it would only begin to run when iterated over, "
    "after the transaction; return a list instead",
    0x80: "a coroutine function: it would run after the transaction, and a "
    "transaction may not await; await first, and make the part that uses refs a "
    "plain function",
    0x200: "an async generator function: it would run after the transaction; collect "
    "the values in a plain function instead",
}
_ANY_KIND = 0x20 | 0x80 | 0x200


def refuse_unfit(fn: object, where: str) -> None:
    """Raise if `fn` cannot be run again as a transaction.

    Args:
        fn: What was given.
        where: To what, for the message.

    Raises:
        TypeError: It is not callable, or returns before its code has run.
    """
    refuse_uncallable(fn, where)
    code = getattr(fn, "__code__", None)
    if code is None:
        while isinstance(fn, partial):
            fn = fn.func
        call = fn if hasattr(fn, "__func__") else type(fn).__call__
        code = getattr(fn, "__code__", None) or getattr(call, "__code__", None)
    flags = getattr(code, "co_flags", 0)
    if flags & _ANY_KIND:
        for flag, kind in _KINDS.items():
            if flags & flag:
                msg = f"{where} was given {kind}"
                raise TypeError(msg)


def refuse_uncallable(fn: object, where: str) -> None:
    """Raise `TypeError` if `fn` cannot be called."""
    if not callable(fn):
        msg = f"{where} needs a function, not {type(fn).__name__} {shown(fn)}"
        raise TypeError(msg)
