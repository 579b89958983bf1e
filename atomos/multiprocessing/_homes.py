"""The spaces that this process has open: one home for each folder.

An engine may be open only once for each file in a process, and a cell must be one
object; so whoever opens a space again, or is passed a cell of it, gets the same home.
"""

from __future__ import annotations

import os
from threading import RLock

from atomos.errors import SpaceClosedError
from atomos.multiprocessing._bells import Bells
from atomos.multiprocessing._codec import CODECS
from atomos.multiprocessing._engines import open_engine
from atomos.multiprocessing._folder import Settings, read_settings
from atomos.multiprocessing._home import SpaceHome

__all__ = ["attach", "detach", "homes"]

#: Real path of the folder -> its home. Written under `_lock`.
_homes: dict[str, SpaceHome] = {}
_lock = RLock()


def attach(path: str, settings: Settings | None = None) -> SpaceHome:
    """Return the home for the space in a folder.

    Args:
        path: The folder.
        settings: What is known to stand there; read if not given.

    Raises:
        SpaceError: There is no space, or it cannot be opened.
    """
    real = os.path.realpath(path)
    home = _homes.get(real)
    if home is not None and not home.closed:
        return home
    with _lock:
        home = _homes.get(real)
        if home is None or home.closed:
            if settings is None:
                settings = read_settings(path)
            engine = open_engine(
                settings.engine, real, durable=settings.durable, size=settings.size
            )
            home = SpaceHome(engine, Bells(real), CODECS[settings.codec], real)
            home.named = settings.named
            _homes[real] = home
        return home


def homes() -> list[SpaceHome]:
    """Return all that are open, in the order in which they were opened."""
    return list(_homes.values())


def detach(home: SpaceHome) -> None:
    """Close a home: its cells cannot be used any more.

    Waits until no thread of any process writes there.

    Raises:
        WouldDeadlockError: This thread itself does.
        SpaceBusyError: Whoever writes was stopped.
    """
    if home.engine.queue.held:
        home.refuse_held("Space.close()")
    mine = False

    def shut() -> None:
        nonlocal mine
        if not home.closed:  # of two that close it at once, one does
            mine = home.closed = True
            home.era += 1
            home.bells.ring()  # who sleeps hears of it

    try:
        home.in_turn(shut)
    except SpaceClosedError:
        if not home.closed:
            raise
    if not mine:
        return
    with _lock:
        for path, one in list(_homes.items()):
            if one is home:
                del _homes[path]
    home.engine.close()


def _in_child() -> None:
    global _lock
    _lock = RLock()
    for home in _homes.values():
        home.forget_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
