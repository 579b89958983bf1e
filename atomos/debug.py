"""Finding misuse while a program runs: off by default, and free when off.

- A value that was changed in place raises `MutatedValueError`.
- Files, sockets and processes that are opened in a transaction that may run again are
  reported by an `EffectWarning`.
- A commit with ``isolation="snapshot"`` that the default isolation would have refused
  is reported by a `WriteSkewWarning`.

``ATOMOS_DEBUG=1`` in the environment enables all three when `atomos` is imported, and
``ATOMOS_DEBUG=mutation,skew`` some of them.

Example:
    >>> from atomos import Ref, debug
    >>> debug.enable()
    >>> stock = Ref({"apples": 3}, name="stock")
    >>> stock.deref()["apples"] = 2
    >>> stock.deref()
    Traceback (most recent call last):
        ...
    atomos.errors.MutatedValueError: the value of Ref 'stock' was changed in place: ...
    >>> debug.disable()
"""

from __future__ import annotations

import os
from _thread import allocate_lock
from typing import TYPE_CHECKING

from atomos._debug._effects import report_effects
from atomos._debug._mutation import look_for_mutation, stop_looking
from atomos._debug._skew import report_skew
from atomos._debug._warnings import EffectWarning, WriteSkewWarning
from atomos.stm._arguments import shown
from atomos.stm._seams import Seams

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["EffectWarning", "WriteSkewWarning", "disable", "enable"]

_SWITCHES = ("mutation", "effects", "skew")


class _Debugging:
    """What is enabled. Changed under `lock`.

    Attributes:
        seams: What is wrapped.
        stop: To be called when they are closed; None if there is nothing to do.
    """

    __slots__ = ("lock", "seams", "stop")

    def __init__(self) -> None:
        self.lock = allocate_lock()
        self.seams = Seams()
        self.stop: Callable[[], None] | None = None

    def off(self) -> None:
        """Put everything back."""
        report_effects(False)
        self.seams.close()
        if self.stop is not None:
            self.stop()
            self.stop = None


_debugging = _Debugging()


def _reset_after_fork() -> None:
    _debugging.lock = allocate_lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_after_fork)


def enable(
    *,
    mutation: bool = True,
    effects: bool = True,
    skew: bool = True,
    classes: Iterable[type] = (),
) -> None:
    """Look for misuse from now on, in all threads; what was enabled before ends.

    Best called before other threads use cells. Values that are there already are
    looked at, too; a message then says where debugging was enabled, not where the
    value was set.

    Args:
        mutation: Raise `MutatedValueError` when a value is read, written or committed
            that was changed in place.
        effects: Warn of files, sockets and processes in what may run again.
        skew: Warn of write skew.
        classes: Classes of yours whose attributes belong to a value. Without it
            objects that are neither built-in containers nor dataclasses are not
            looked into.

    Raises:
        TypeError: A switch is no bool, or `classes` has something that is no class.

    Cost: O(objects of the process), once. With `mutation` each read takes time
    proportional to what is mutable in the value, and each write to all that is in it.
    With `effects` each audit event of the process takes some 200 ns from now on, also
    after `disable`.

    Example:
        >>> from atomos import Atom, debug
        >>> debug.enable(effects=False, skew=False)
        >>> names = Atom(["ann"], name="names")
        >>> names.swap(lambda names: names.append("bob"))
        Traceback (most recent call last):
            ...
        atomos.errors.MutatedValueError: the value of Atom 'names' was changed in ...
        >>> debug.disable()
    """
    for name, switch in zip(_SWITCHES, (mutation, effects, skew), strict=True):
        if not isinstance(switch, bool):
            msg = f"{name} must be True or False, not {shown(switch)}"
            raise TypeError(msg)
    named = tuple(classes)
    for one in named:
        if not isinstance(one, type):
            msg = f"classes must be classes, not {shown(one)}"
            raise TypeError(msg)
    with _debugging.lock:
        _debugging.off()
        if mutation:
            # First: an exception from outside may come in while it begins.
            _debugging.stop = stop_looking
            look_for_mutation(_debugging.seams, named)
        if skew:
            report_skew(_debugging.seams)
        report_effects(effects)


def disable() -> None:
    """Stop looking; nothing happens if nobody looks.

    The engine runs its own functions again, and values are as they were. Only the
    audit hook stays, since Python lets none go; it does nothing.

    Cost: O(objects of the process) if mutation was looked for.

    Example:
        >>> from atomos import debug
        >>> debug.disable()
    """
    with _debugging.lock:
        _debugging.off()


def _enable_as_asked(asked: str) -> None:
    """Do what the environment variable says.

    Raises:
        ValueError: It says nothing that can be done.
    """
    if asked == "0":
        return
    names = _SWITCHES if asked == "1" else [one.strip() for one in asked.split(",")]
    for name in names:
        if name not in _SWITCHES:
            msg = (
                "ATOMOS_DEBUG must be 1, 0, or some of mutation, effects and skew with "
                f"commas between them, not {shown(asked)}"
            )
            raise ValueError(msg)
    enable(
        mutation="mutation" in names, effects="effects" in names, skew="skew" in names
    )
