"""One page of memory that all processes of a space share.

It is a file of its own: to close any descriptor of a file drops the locks that this
process has on it, and a memory map has a descriptor. What is in it are hints, which
may be wrong after somebody was killed. Nothing that has to be right depends on them.

==========  ============================================================
`HOLDER`    The process that took the writers' queue last, for messages.
`LINE`      1 while somebody waits at the head of the writers' queue.
`BELL`      1 while somebody may be waiting for a commit.
`MADE`      1 once the files of the engine have been made: if they are
            missing or empty from then on, somebody has damaged them.
==========  ============================================================
"""

from __future__ import annotations

import mmap
import os

from atomos.multiprocessing._faults import translated

__all__ = ["BELL", "HOLDER", "LINE", "MADE", "Page"]

HOLDER = 0
LINE = 8
BELL = 9
MADE = 10

_SIZE = 4096


class Page:
    """The page of one space, as this process has it mapped.

    Attributes:
        bytes: The page; those of 8 bytes are in it in the order of the machine.
        numbers: The same page, as unsigned numbers of 8 bytes.
    """

    __slots__ = ("bytes", "numbers")

    def __init__(self, folder: str) -> None:
        """Map the page, and make it if there is none."""
        path = os.path.join(folder, "page")
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                if os.fstat(fd).st_size < _SIZE:
                    # A byte that nobody uses, so that the page has its place on the
                    # disk: a full one would kill who writes to the map later.
                    os.pwrite(fd, b"\0", _SIZE - 1)
                self.bytes = mmap.mmap(fd, _SIZE)
            finally:
                os.close(fd)
        except OSError as error:
            raise translated(error, path) from error
        self.numbers = memoryview(self.bytes).cast("Q")
