"""What goes wrong below a space, as errors of this library.

A storage engine and the system have their own exceptions. `translated` makes one of
ours of each, which names the path and says what to do. The exception that it was made
of is to be its cause.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import sys
from typing import NoReturn

from atomos.errors import (
    SpaceAccessError,
    SpaceBusyError,
    SpaceClosedError,
    SpaceCorruptError,
    SpaceError,
    SpaceFullError,
)

__all__ = ["closed", "corrupt", "fail", "translated"]

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}

_ENLARGE = "nothing was written; free space on the disk"
_LARGER = (
    "nothing was written; close the space everywhere and open it with a larger size"
)
_DAMAGED = "restore it from a copy, or remove the folder to begin anew"
_RIGHTS = "let this process read and write it and its folder, or open another path"

#: Bytes that are left on a disk that counts as full.
_HARDLY_ANY = 256 << 10
#: LMDB's classes by what they mean; others go by their code, which is an errno.
_LMDB_CORRUPT = {
    *("BadChecksumError", "CorruptedError", "IncompatibleError", "InvalidError"),
    *("PageNotFoundError", "PanicError", "VersionMismatchError"),
}
_SQLITE_CORRUPT = {"SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_SCHEMA", "SQLITE_FORMAT"}
_SQLITE_DENIED = {"SQLITE_READONLY", "SQLITE_PERM", "SQLITE_AUTH", "SQLITE_CANTOPEN"}


def closed(path: str) -> SpaceClosedError:
    """Return the error of a space that is closed."""
    return SpaceClosedError(f"the space {path} is closed: open it again")


def corrupt(path: str, why: str) -> SpaceCorruptError:
    """Return the error of a file that is damaged or not ours."""
    return SpaceCorruptError(f"{path} {why}: {_DAMAGED}")


def translated(error: Exception, path: str) -> Exception:
    """Return our error for one of the system or of an engine; others as they are."""
    if isinstance(error, SpaceError):
        return error
    if isinstance(error, sqlite3.Error):
        return _of_sqlite(error, path)
    if isinstance(error, OSError):
        return _of_number(error.errno, str(error.strerror or error), path)
    lmdb = sys.modules.get("lmdb")
    if lmdb is not None and isinstance(error, lmdb.Error):
        return _of_lmdb(error, path)
    return error


def fail(error: Exception, path: str) -> NoReturn:
    """Raise our error for one of the system or of an engine; others as they are."""
    ours = translated(error, path)
    if ours is error:
        raise error
    raise ours from error


def _of_number(number: int | None, text: str, path: str) -> SpaceError:
    if number in _FULL:
        return SpaceFullError(f"no space is left for {path}: {_ENLARGE}")
    if number in _DENIED:
        return SpaceAccessError(f"no right to use {path} ({text}): {_RIGHTS}")
    if number == errno.ENOENT:
        return SpaceError(f"{path} is not there ({text}): make its folder first")
    if number == errno.ENOTDIR:
        return SpaceError(f"{path} is below a file ({text}): name another path")
    if number in (errno.EMFILE, errno.ENFILE):
        return SpaceError(f"too many files are open for {path}: raise that limit")
    return SpaceError(f"{path} cannot be used ({text}): look at the disk")


def _of_sqlite(error: sqlite3.Error, path: str) -> SpaceError:
    code = getattr(error, "sqlite_errorname", "") or ""
    kind = "_".join(code.split("_")[:2])
    text = f"{error}; {code}" if code else str(error)
    if kind == "SQLITE_FULL" or code == "SQLITE_IOERR_SHMSIZE":
        return SpaceFullError(f"no space is left for {path} ({text}): {_ENLARGE}")
    if kind in _SQLITE_CORRUPT or "no such table" in str(error):
        return corrupt(path, f"is damaged or of another program ({text})")
    if kind in _SQLITE_DENIED:
        return SpaceAccessError(f"no right to use {path} ({text}): {_RIGHTS}")
    if kind in ("SQLITE_BUSY", "SQLITE_LOCKED"):
        return SpaceBusyError(f"{path} is locked by another program: let it end first")
    if isinstance(error, sqlite3.ProgrammingError) and "closed" in str(error):
        return closed(path)
    return SpaceError(f"{path} cannot be used ({text}): look at the disk")


def _of_lmdb(error: Exception, path: str) -> SpaceError:
    name, text = type(error).__name__, str(error)
    if name == "MapFullError":
        return SpaceFullError(f"the map of {path} is full: {_LARGER}")
    if name == "MapResizedError":
        return SpaceError(
            f"{path} has grown beyond the size it was opened with here: "
            "open it with the largest size that any process gives"
        )
    if name in _LMDB_CORRUPT:
        return corrupt(path, f"is damaged or of another program ({text})")
    if name == "ReadersFullError":
        return SpaceError(f"too many snapshots of {path} are open: end some of them")
    if "closed/deleted/dropped" in text:
        return closed(path)
    if name == "ReadonlyError":
        return _of_number(errno.EACCES, text, path)
    number = getattr(error, "code", None)
    if number == errno.EIO and _is_full(path):
        number = errno.ENOSPC  # LMDB takes a write that was cut short for a fault
    return _of_number(number, text, path)


def _is_full(path: str) -> bool:
    """Whether there is hardly any space left on the disk of this file."""
    try:
        disk = os.statvfs(os.path.dirname(path))
    except OSError:
        return False
    return disk.f_bavail * disk.f_frsize < _HARDLY_ANY
