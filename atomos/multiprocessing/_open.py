"""Opening a named space, which is made if there is none."""

from __future__ import annotations

import os

from atomos.errors import SpaceError
from atomos.multiprocessing._choice import best_engine
from atomos.multiprocessing._codec import CODECS
from atomos.multiprocessing._folder import ENGINES, Settings, enlarge, make_folder
from atomos.multiprocessing._homes import attach
from atomos.multiprocessing._space import Space
from atomos.stm._arguments import shown
from atomos.stm._run import is_count

__all__ = ["open_space"]

#: Bytes that a space may take at most if nobody says: 64 GiB of addresses, no memory.
DEFAULT_SIZE = 1 << 36
LEAST_SIZE = 1 << 16


def open_space(
    path: str | os.PathLike[str],
    *,
    engine: str | None = None,
    codec: str | None = None,
    durable: bool | None = None,
    size: int | None = None,
) -> Space:
    """Open a space, which is made if there is none; unrelated processes share it.

    Values are pickled, and to unpickle runs what the bytes say: share a space only
    among processes that trust each other, or use ``codec="json"``, which reads nothing
    that can run code.

    Args:
        path: A folder, which is made with mode 0700; files in it have mode 0600.
        engine: "lmdb" or "sqlite"; None for how it was made, or for LMDB where it is
            installed on Linux, else SQLite.
        codec: "pickle" or "json"; None for how it was made, or pickle.
        durable: What a transaction has committed survives power loss, too; None for
            how it was made, or False. A killed process loses nothing in either case.
        size: Bytes that the space may take at most, from 64 KiB on; more than it was
            made with enlarges it, for those who open it from then on.

    Returns:
        The space. It stays open until it is closed, or the process ends.

    Raises:
        ValueError: There is no such engine or codec, or no such size.
        SpaceError: It was made with other settings, or its package is not installed.
        SpaceAccessError: The path may not be used.
        SpaceCorruptError: The path has something else, or is damaged.
        TypeError: `path` is no path.

    Cost: opens some files.

    Example:
        >>> import tempfile
        >>> from atomos import multiprocessing
        >>> folder = tempfile.TemporaryDirectory()
        >>> with folder, multiprocessing.open(folder.name, codec="json") as space:
        ...     space.ref("point", default=[1, 2])
        Ref([1, 2], name='point')
    """
    _refuse_unknown("engine", engine, ENGINES)
    _refuse_unknown("codec", codec, tuple(CODECS))
    if size is not None and (not is_count(size, LEAST_SIZE)):
        msg = (
            f"size must be a whole number of bytes from {LEAST_SIZE} on, "
            f"not {shown(size)}"
        )
        raise ValueError(msg)
    path = os.fspath(path)
    wanted = Settings(
        engine or best_engine(),
        codec or "pickle",
        bool(durable),
        size or DEFAULT_SIZE,
        True,
    )
    found = make_folder(path, wanted)
    for asked, name in ((engine, "engine"), (codec, "codec"), (durable, "durable")):
        if asked is not None and asked != getattr(found, name):
            msg = (
                f"the space {path} was made with {name}={getattr(found, name)!r}, not "
                f"{asked!r}: leave {name} out, or name another path"
            )
            raise SpaceError(msg)
    if size is not None and size > found.size:
        found = found._replace(size=size)
        enlarge(path, found)
    return Space(attach(path, found), found)


def _refuse_unknown(name: str, value: str | None, known: tuple[str, ...]) -> None:
    if value is not None and value not in known:
        msg = f"{name} must be {' or '.join(map(repr, known))}, not {shown(value)}"
        raise ValueError(msg)
