"""The file of a trace: JSON events, written as they come.

The events of a file are one JSON list. Written by one thread at a time, without a
buffer, so that the child of a fork has nothing left that it could write again.

Source: "Trace Event Format", by the Chromium project
"""

from __future__ import annotations

import json
import os
import stat
from io import FileIO
from typing import TYPE_CHECKING, Any, NamedTuple

from atomos.errors import TraceFileError
from atomos.stm._arguments import shown

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Bar", "Event", "TraceFile", "arrow_event", "bar_event", "row_event"]

#: One object of the list.
Event = dict[str, Any]

#: It ends with an event, so that what is written after it begins with a comma: nothing
#: else has to be remembered where an exception from outside cuts a write short.
HEAD = b"""{"displayTimeUnit": "ns", "traceEvents": [
{"ph": "M", "pid": 1, "name": "process_name", "args": {"name": "atomos"}}"""
TAIL = b"\n]}\n"


class Bar(NamedTuple):
    """A bar to be written; times in nanoseconds of `time.perf_counter_ns`."""

    row: int
    name: str
    category: str
    colour: str
    start: int
    end: int
    args: dict[str, Any]


def row_event(row: int, name: str) -> Event:
    """Return what gives a row its name."""
    return {
        "ph": "M",
        "pid": 1,
        "tid": row,
        "name": "thread_name",
        "args": {"name": name},
    }


def bar_event(bar: Bar, zero: int) -> Event:
    """Return a bar, with times counted from `zero`."""
    return {
        "ph": "X",
        "pid": 1,
        "tid": bar.row,
        "ts": (bar.start - zero) / 1000,
        "dur": (bar.end - bar.start) / 1000,
        "name": bar.name,
        "cat": bar.category,
        "cname": bar.colour,
        "args": bar.args,
    }


def arrow_event(number: int, row: int, at: int, *, start: bool) -> Event:
    """Return one end of the arrow `number`, which is tied to the bar around it."""
    event = {
        "ph": "s" if start else "f",
        "pid": 1,
        "tid": row,
        "ts": at / 1000,
        "id": number,
        "name": "conflict",
        "cat": "conflict",
    }
    return event if start else {**event, "bp": "e"}


#: The files that are being written, as `os.path.samestat` tells them apart, and by
#: whom. Entered with `setdefault`: of two that claim a file at once, one has it.
_written: dict[tuple[int, int], TraceFile] = {}


class TraceFile:
    """A file that is a whole JSON document when it is closed.

    Attributes:
        _identity: What is in `_written` for it; None if it is no ordinary file.
        error: The first error of the system; nothing is written after it.
    """

    __slots__ = ("_file", "_identity", "_name", "error")

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open the file, and empty it.

        Raises:
            TypeError: `path` is no path.
            TraceFileError: It cannot be opened, or another trace is written to it.
        """
        if not isinstance(path, (str, os.PathLike)):
            msg = f"path must be a str or an os.PathLike, not {shown(path)}"
            raise TypeError(msg)
        self._name = os.fspath(path)
        self.error: OSError | None = None
        try:
            self._file = FileIO(self._name, "a")  # not emptied before we know it
        except (OSError, ValueError) as error:
            raise self._refusal(error) from error
        self._identity = self._claim()
        self._write(HEAD)

    def __repr__(self) -> str:
        """Show the path."""
        return f"{type(self).__name__}({self._name!r})"

    def _claim(self) -> tuple[int, int] | None:
        """Have the file for ourselves, and empty it."""
        found = os.fstat(self._file.fileno())
        if not stat.S_ISREG(found.st_mode):
            return None
        identity = found.st_dev, found.st_ino
        if _written.setdefault(identity, self) is not self:
            self._file.close()
            raise self._refusal("another trace is being written to it")
        self._file.truncate(0)
        return identity

    def _refusal(self, error: object) -> TraceFileError:
        msg = (
            f"the trace cannot be written to {self._name!r}: {error}; name a file in a "
            "folder that exists and can be written to"
        )
        return TraceFileError(msg)

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest and self.error is None:
            try:
                rest = rest[self._file.write(rest) or 0 :]
            except OSError as error:
                self.error = error

    def write(self, events: Iterable[Event]) -> None:
        """Write events; an error is kept."""
        self._write("".join(f",\n{json.dumps(one)}" for one in events).encode())

    def close(self) -> None:
        """Write the end, and close the file; an error is kept."""
        self._write(TAIL)
        try:
            self.drop()
        except OSError as error:
            self.error = self.error or error

    def drop(self) -> None:
        """Close it without writing: it is another process that goes on writing."""
        if self._identity is not None:
            _written.pop(self._identity, None)
        self._file.close()

    def raise_error(self) -> None:
        """Raise `TraceFileError` if something could not be written."""
        if self.error is not None:
            raise self._refusal(self.error) from self.error
