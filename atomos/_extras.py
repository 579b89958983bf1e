"""What only some references have: a name, a validator, watches, metadata.

Each field is replaced as a whole, never changed in place, so whoever reads one
needs no lock. A change is computed first, and stored only if nobody else has
stored meanwhile: no user code runs under the lock.
"""

from __future__ import annotations

import os
from _thread import allocate_lock
from typing import TYPE_CHECKING, Any

from atomos.errors import ValidationError
from atomos.stm._arguments import shown

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Extras", "ask", "guard"]


class Extras:
    """What only some references have. Each field is replaced as a whole."""

    __slots__ = ("max_history", "meta", "name", "validator", "watches")

    def __init__(self) -> None:
        self.name: str | None = None
        self.validator: Callable[[Any], object] | None = None
        self.meta: Any = None
        self.watches: dict[Any, Callable[..., object]] = {}
        self.max_history: int | None = None


class Guard:
    """Guards the replacing of fields; nothing is called under its lock."""

    __slots__ = ("lock",)

    def __init__(self) -> None:
        self.lock = allocate_lock()


guard = Guard()


def _reset_after_fork() -> None:
    guard.lock = allocate_lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_after_fork)


def ask(validator: Callable[[Any], object], value: object, label: str) -> None:
    """Raise `ValidationError` unless `validator` accepts `value`."""
    try:
        accepted = bool(validator(value))
    except Exception as error:
        msg = (
            f"the validator of {label} raised on {shown(value)}: {shown(error)}; "
            "nothing was written"
        )
        raise ValidationError(msg) from error
    if not accepted:
        msg = f"the validator of {label} refused {shown(value)}; nothing was written"
        raise ValidationError(msg)
