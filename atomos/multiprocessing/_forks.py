"""What a fork does to queues and engines.

A forked child has copies of descriptors, locks and handles that it must not use: locks
of files stay with the parent, and a storage engine that is used by two processes
through one handle damages its files. So each object with such things is remembered
here, by a weak reference, and told in the child: `after_fork` of it makes it fresh.

`now` is an object that is another one in each process. What was begun in this process
keeps it, and compares it by `is` before it is used or ended.

Handles that may be neither used nor closed in the child are kept for ever, with
`keep`: a list of a module is not enough, as modules are emptied at the end.
"""

from __future__ import annotations

import ctypes
import os
from typing import TYPE_CHECKING, Protocol
from weakref import ref

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["after_fork_call", "keep", "remember"]


class Forked(Protocol):
    """What wants to be told of a fork."""

    def after_fork(self) -> None:
        """Become fresh. It is called in the child, which has one thread."""


now = object()
_known: dict[int, ref[Forked]] = {}
_calls: list[Callable[[], None]] = []


def remember(item: Forked) -> None:
    """Tell this object of forks, as long as it lives."""
    key = id(item)

    def forget(gone: ref[Forked]) -> None:
        if _known.get(key) is gone:
            _known.pop(key, None)

    _known[key] = ref(item, forget)


def after_fork_call(function: Callable[[], None]) -> None:
    """Call this in each child, before the objects are told."""
    _calls.append(function)


def keep(handle: object) -> None:
    """Never let this object die, not even at the end of the interpreter."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(handle))


def _in_child() -> None:
    global now
    now = object()
    for call in _calls:
        call()
    for known in list(_known.values()):
        item = known()
        if item is not None:
            item.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
