"""The folder of a space: who may read it, and what stands in its settings.

The folder has mode 0700, each file in it 0600. The file `space.json` is written once,
when the space is made, as a whole: it is linked to its name when all of it is there,
so that of two processes that make a space at once one wins, and the other one reads.
"""

from __future__ import annotations

import json
import os
import tempfile
from typing import TYPE_CHECKING, NamedTuple

from atomos.errors import SpaceAccessError, SpaceCorruptError, SpaceError
from atomos.multiprocessing._codec import CODECS
from atomos.multiprocessing._faults import fail

if TYPE_CHECKING:
    from collections.abc import Container

__all__ = ["ENGINES", "Settings", "enlarge", "make_folder", "read_settings"]

#: The engines, and the value of `FORMAT` that this version writes and reads.
ENGINES = ("lmdb", "sqlite")
FORMAT = 1
NAME = "space.json"


class Settings(NamedTuple):
    """How a space was made. Never changes.

    Attributes:
        engine: One of `ENGINES`.
        codec: One of `CODECS`.
        durable: What was committed survives power loss.
        size: Bytes that it may take at most (LMDB).
        named: Somebody has named the path.
    """

    engine: str
    codec: str
    durable: bool
    size: int
    named: bool


def read_settings(path: str) -> Settings:
    """Return the settings of the space in a folder.

    Raises:
        SpaceAccessError: It may not be read.
        SpaceCorruptError: There is something else.
        SpaceError: There is no such folder.
    """
    file = os.path.join(path, NAME)
    try:
        with open(file, encoding="utf-8") as source:
            found = json.load(source)
        if found.pop("format") != FORMAT:
            msg = f"{file} is of another version of this library; use that one"
            raise SpaceCorruptError(msg)
        settings = Settings(**found)
        if settings.engine not in ENGINES or settings.codec not in CODECS:
            raise ValueError(settings)
    except PermissionError as error:
        msg = f"no right to read the space in {path}: ask its owner, or run as him"
        raise SpaceAccessError(msg) from error
    except FileNotFoundError as error:
        msg = (
            f"there is no space in {path}: its maker may have ended, which removes an "
            "anonymous space; keep him alive, or open() a named one"
        )
        raise SpaceError(msg) from error
    except NotADirectoryError as error:
        msg = f"{path} is a file; a space is a folder: name another path"
        raise SpaceCorruptError(msg) from error
    except (KeyError, TypeError, ValueError, AttributeError, OSError) as error:
        msg = (
            f"{file} does not say how the space was made ({error}): it is damaged, or "
            "belongs to something else; restore it, or name another path"
        )
        raise SpaceCorruptError(msg) from error
    return settings


def make_folder(path: str, wanted: Settings, besides: Container[str] = ()) -> Settings:
    """Make a space in a folder, if there is none; return how it was made.

    Args:
        path: The folder; made if it is not there.
        wanted: How it is to be made.
        besides: Names of files that may be there already.

    Raises:
        SpaceAccessError: It may not be written.
        SpaceCorruptError: The folder has something else in it.
        SpaceError: It cannot be made for another reason, such as a full disk.
    """
    try:
        try:
            os.makedirs(path, 0o700)
        except FileExistsError:
            if os.path.exists(os.path.join(path, NAME)) or not os.path.isdir(path):
                return read_settings(path)
            if any(
                not name.startswith(".new-") and name not in besides
                for name in os.listdir(path)
            ):
                # Another one may have made it meanwhile.
                if os.path.exists(os.path.join(path, NAME)):
                    return read_settings(path)
                msg = (
                    f"{path} is no space, and not empty: name another path, or an "
                    "empty folder"
                )
                raise SpaceCorruptError(msg) from None
            os.chmod(path, 0o700)
        return _write_settings(path, wanted)
    except OSError as error:
        fail(error, path)


def enlarge(path: str, settings: Settings) -> None:
    """Have everybody who opens the space from now on use the size in `settings`."""
    temporary = _written(path, settings)
    os.replace(temporary, os.path.join(path, NAME))


def _written(path: str, settings: Settings) -> str:
    """Write the settings to a new file, which is whole on the disk; return its name."""
    handle, temporary = tempfile.mkstemp(prefix=".new-", dir=path)  # of mode 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as target:
            json.dump({"format": FORMAT, **settings._asdict()}, target)
            target.flush()
            os.fsync(target.fileno())
    except BaseException:
        os.unlink(temporary)
        raise
    return temporary


def _write_settings(path: str, wanted: Settings) -> Settings:
    """Write the settings, unless somebody else has; return those that stand."""
    temporary = _written(path, wanted)
    try:
        os.link(temporary, os.path.join(path, NAME))
    except FileExistsError:
        return read_settings(path)
    finally:
        os.unlink(temporary)
    return wanted
