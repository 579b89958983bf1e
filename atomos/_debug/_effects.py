"""Reporting files, sockets and processes that are opened where code may run again.

Python tells an audit hook of them. A hook cannot be taken away again, so it is added
when it is first needed, and does nothing while nobody wants to know.

Reported are the events of which everything else is made: `shutil`, `smtplib`, `urllib`
end up in these, and would be reported twice. What an import does is left out, and so
is what `logging` and the showing of source lines do: they open a file once, or only
read. Threads are no files, and what is done with something that is open already has
no event.
"""

from __future__ import annotations

import sys
from _thread import get_ident
from threading import local
from typing import TYPE_CHECKING, Any, Final

from atomos._debug._places import frames, innermost, is_installed
from atomos._debug._warnings import EffectWarning, report
from atomos.errors import CommuteError
from atomos.stm._arguments import shown
from atomos.stm._inside import inside
from atomos.stm._seat import seats

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["report_effects"]

#: The events, and which of their arguments to show.
_EVENTS: Final[dict[str, int | None]] = {
    "open": 0,
    "os.chmod": 0,
    "os.chown": 0,
    "os.exec": 0,
    "os.fork": None,
    "os.forkpty": None,
    "os.kill": 0,
    "os.link": 1,
    "os.mkdir": 0,
    "os.posix_spawn": 0,
    "os.remove": 0,
    "os.rename": 0,
    "os.rmdir": 0,
    "os.spawn": 1,
    "os.startfile": 0,
    "os.symlink": 1,
    "os.system": 0,
    "os.truncate": 0,
    "os.utime": 0,
    "socket.__new__": None,
    "socket.bind": 1,
    "socket.connect": 1,
    "socket.sendmsg": 1,
    "socket.sendto": 1,
    "sqlite3.connect": 0,
    "subprocess.Popen": 0,
}
#: What is done from within these modules is left out.
_LEFT_OUT: Final = ("importlib.", "_frozen_importlib", "zipimport", "linecache")
_LOGGING: Final = ("logging", "logging.handlers", "traceback")


class _Reporting(local):
    """Whether the thread is making a report, and what that opens does not count."""

    now = False


class _Hook:
    """The audit hook.

    Attributes:
        on: Somebody wants to know.
        added: It was added to the interpreter. Never reset.
    """

    __slots__ = ("added", "on")

    def __init__(self) -> None:
        self.on = False
        self.added = False

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        if self.on and event in _EVENTS:
            _hear(event, args)


_hook = _Hook()
_reporting = _Reporting()


def report_effects(on: bool) -> None:
    """Report effects from now on, or stop."""
    if on and not _hook.added:
        _hook.added = True
        sys.addaudithook(_hook)
    _hook.on = on


def _hear(event: str, args: tuple[Any, ...]) -> None:
    """Report an event if it happens where code may run again."""
    if _reporting.now or get_ident() not in seats:
        return
    if event == "open" and isinstance(args[0], int):
        return  # of a file that is open
    where = _running()
    if where is None:
        return
    frame = _culprit()
    if frame is None:
        return
    index = _EVENTS[event]
    what = event if index is None else f"{event} {shown(args[index])}"
    _reporting.now = True
    try:
        message = (
            f"{what} in {where}, which may run again, and so would its effects: put it "
            "into after_commit(), send it to an agent, or make the transaction a plain "
            "`with dosync():` block"
        )
        report(message, EffectWarning, frame)
    finally:
        _reporting.now = False


def _running() -> str | None:
    """Return what messages call what runs here and may run again; None if nothing."""
    try:
        tx = inside()
    except CommuteError:
        return "a function given to commute()"
    return tx.label if tx is not None and tx.rerunnable else None


def _culprit() -> FrameType | None:
    """Return the frame to name; None if it is to be left out."""
    for frame in frames():
        name = frame.f_globals.get("__name__", "")
        if not isinstance(name, str):
            continue
        if name.startswith(_LEFT_OUT) or name in _LOGGING:
            return None
        if not is_installed(frame.f_code.co_filename):
            return frame
    return innermost()
