"""The anonymous space of a process, for cells that were made without one.

It is made when the first such cell is, in shared memory where the system has it
(``/dev/shm``), else among the temporary files, and removed when its maker ends. If the
maker is killed, the next maker of one removes what is left: each has a lock on a file
in its folder, which the kernel lets go of when he dies.

The children of a fork use the space of their parent for cells of their own, too, and a
process that was passed a cell before it has made one uses the space of that cell. So
all that descends from one maker can be used in one transaction.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from itertools import count
from multiprocessing.util import Finalize
from threading import Lock
from typing import TYPE_CHECKING

from atomos.multiprocessing._choice import best_engine
from atomos.multiprocessing._folder import Settings, make_folder
from atomos.multiprocessing._homes import attach, homes

if TYPE_CHECKING:
    from atomos.multiprocessing._home import SpaceHome

__all__ = ["anonymous_home", "base"]

#: The file in a folder that its maker has locked.
MAKER = "maker"
#: Bytes that it may take at most; what is not used takes nothing.
SIZE = 1 << 36


class _Anonymous:
    """The anonymous space that this process uses.

    Attributes:
        home: It; None if there is none yet.
        lock: Held while one is made.
        prefix: Of the keys of cells that this process makes.
        numbers: What comes after it.
        maker: Keeps the lock of the folders made here, for as long as it is open.
    """

    def __init__(self) -> None:
        self.home: SpaceHome | None = None
        self.maker: dict[str, int] = {}
        self.begin()

    def begin(self) -> None:
        """Begin new keys: in the child of a fork those of the parent go on."""
        self.lock = Lock()
        self.prefix = b"ca" + os.urandom(8)
        self.numbers = count()


_here = _Anonymous()


def anonymous_home() -> tuple[SpaceHome, bytes]:
    """Return the space for a cell without one, and the key of the next cell.

    Raises:
        SpaceError: It cannot be made.
    """
    home = _here.home
    if home is None or home.closed:
        with _here.lock:
            home = _here.home
            if home is None or home.closed:
                home = _here.home = _of_somebody_else() or _make()
    return home, _here.prefix + next(_here.numbers).to_bytes(6, "big")


def _of_somebody_else() -> SpaceHome | None:
    """Return the anonymous space that this process was passed a cell of, if any."""
    for home in homes():
        if not home.named and not home.closed:
            return home
    return None


def base() -> str:
    """Return the folder for anonymous spaces."""
    shared = "/dev/shm"
    if os.path.isdir(shared) and os.access(shared, os.W_OK | os.X_OK):
        return shared
    return tempfile.gettempdir()


def _prefix() -> str:
    """Return how the names of the folders of this user begin."""
    return f"atomos-{os.getuid()}-"


def _make() -> SpaceHome:
    """Make a space, and remove those of dead makers."""
    folder = base()
    _clear(folder)
    hidden = tempfile.mkdtemp(prefix=f".{_prefix()}", dir=folder)
    maker = os.open(os.path.join(hidden, MAKER), os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.lockf(maker, fcntl.LOCK_EX)
    # Others see it only now, when it is locked.
    path = os.path.join(folder, os.path.basename(hidden)[1:])
    os.rename(hidden, path)
    _here.maker[path] = maker
    wanted = Settings(best_engine(), "pickle", False, SIZE, False)
    settings = make_folder(path, wanted, {MAKER})
    home = attach(path, settings)
    Finalize(None, _remove, (path, os.getpid()), exitpriority=-100)
    return home


def _remove(path: str, pid: int) -> None:
    """Remove what this process has made, when it ends."""
    if os.getpid() == pid:
        shutil.rmtree(path, ignore_errors=True)


def _clear(base: str) -> None:
    """Remove the spaces of dead makers.

    To open the file of a maker and close it again lets go of all locks that this
    process has on it; so what was made here is left out.
    """
    for name in os.listdir(base):
        path = os.path.join(base, name)
        if not name.startswith(_prefix()) or path in _here.maker:
            continue
        try:
            maker = os.open(os.path.join(path, MAKER), os.O_RDWR)
        except OSError:
            continue  # just being made, or removed by somebody else
        try:
            fcntl.lockf(maker, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
        except OSError:
            pass  # its maker lives
        finally:
            os.close(maker)


def _in_child() -> None:
    _here.begin()


os.register_at_fork(after_in_child=_in_child)
