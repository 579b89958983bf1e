"""Hearing of each operation on a ref, atom, atomic or agent.

While anybody listens, each public method of these classes that reads or writes tells
it. A method that is called by another one of the same cell tells nothing, since it is
a part of that one.
"""

from __future__ import annotations

import os
from _thread import allocate_lock
from functools import wraps
from threading import local
from types import FunctionType
from typing import TYPE_CHECKING, Any

from atomos.stm._cell import Cell
from atomos.stm._seams import Seams

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Listener", "listen", "unlisten"]

#: Methods that have to do with what lies beside the value.
ASIDE = frozenset(
    {
        "add_watch",
        "alter_meta",
        "get_validator",
        "get_watches",
        "meta",
        "notify_watches",
        "remove_watch",
        "reset_meta",
        "set_validator",
        "trim_history",
    }
)


class Listener:
    """Hears of operations, in the thread that performs them.

    What it raises leaves the operation.
    """

    def before(self, cell: Cell[Any], name: str, args: tuple[Any, ...]) -> None:
        """Hear that `cell` is about to perform the method `name`."""

    def after(
        self, cell: Cell[Any], name: str, args: tuple[Any, ...], result: object
    ) -> None:
        """Hear that it has, and returned `result`."""

    def failed(
        self,
        cell: Cell[Any],
        name: str,
        args: tuple[Any, ...],
        error: BaseException,
    ) -> None:
        """Hear that it has raised `error`."""


class _Within(local):
    """The cell whose method the thread runs, the innermost one."""

    cell: Cell[Any] | None = None


class _Listening:
    """Who listens.

    Attributes:
        listeners: Replaced as a whole, under `lock`.
        seams: Open while there is a listener. Written under `lock`.
    """

    __slots__ = ("listeners", "lock", "seams")

    def __init__(self) -> None:
        self.listeners: tuple[Listener, ...] = ()
        self.seams = Seams()
        self.lock = allocate_lock()


_within = _Within()
_listening = _Listening()


def _reset_after_fork() -> None:
    _listening.lock = allocate_lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_after_fork)


def listen(listener: Listener) -> None:
    """Have `listener` hear of each operation from now on.

    Cost: O(classes of cells) for the first listener, else O(listeners).
    """
    with _listening.lock:
        if not _listening.listeners:
            for kind in _kinds(Cell):
                for name in _public(kind):
                    _listening.seams.method(kind, name, _telling)
        _listening.listeners = (*_listening.listeners, listener)


def unlisten(listener: Listener) -> None:
    """Have `listener` hear of no more operations.

    One that is under way may still tell it. Nothing happens if it did not listen.
    """
    with _listening.lock:
        left = tuple(one for one in _listening.listeners if one is not listener)
        _listening.listeners = left
        if not left:
            _listening.seams.close()


def _kinds(kind: type) -> Iterator[type]:
    """Yield the classes of cells, each once."""
    below: type
    found: dict[type, None] = {kind: None}
    for below in kind.__subclasses__():
        found.update(dict.fromkeys(_kinds(below)))
    yield from found


def _public(kind: type) -> list[str]:
    """Return the names of the methods of `kind` itself that read or write."""
    return [
        name
        for name, value in vars(kind).items()
        if isinstance(value, FunctionType)
        and not name.startswith("_")
        and name not in ASIDE
        and kind.__module__.startswith("atomos.")
    ]


def _telling(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return `method`, which tells all listeners."""
    name = method.__name__

    @wraps(method)
    def telling(cell: Cell[Any], /, *args: Any, **kwargs: Any) -> Any:
        outer = _within.cell
        if outer is cell:
            return method(cell, *args, **kwargs)
        listeners = _listening.listeners
        for one in listeners:
            one.before(cell, name, args)
        try:
            _within.cell = cell
            result = method(cell, *args, **kwargs)
        except BaseException as error:
            for one in listeners:
                one.failed(cell, name, args, error)
            raise
        finally:
            _within.cell = outer
        for one in listeners:
            one.after(cell, name, args, result)
        return result

    return telling
