"""Threads that are used again from run to run: to start one takes 50 µs and more.

A thread that waits for a job stands in `idle`. They are daemons: one that a body has
left stuck must not keep the interpreter from its end.
"""

from __future__ import annotations

import os
import threading
from _thread import allocate_lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Worker", "hire"]

#: What a thread is called that has no job.
NAME = "atomos-testing"
#: Those that wait for a job.
_idle: list[Worker] = []


class Worker:
    """One thread.

    Attributes:
        gate: The thread waits for it, for a job or in the middle of one. Released by
            who lets it go on.
        job: What it does next. Returns whether the thread may be used again.
        thread: The thread.
    """

    __slots__ = ("gate", "job", "thread")

    job: Callable[[], bool]

    def __init__(self) -> None:
        self.gate = allocate_lock()
        self.gate.acquire()
        self.thread = threading.Thread(target=self._work, name=NAME, daemon=True)
        self.thread.start()

    def _work(self) -> None:
        while True:
            self.gate.acquire()
            if not self.job():
                return

    def give_back(self) -> None:
        """Let it be hired again; the job is about to end."""
        self.thread.name = NAME
        _idle.append(self)


def hire(name: str) -> Worker:
    """Return a thread that waits for a job, and is called `name` until it is done."""
    try:
        worker = _idle.pop()
    except IndexError:
        worker = Worker()
    worker.thread.name = name
    return worker


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_idle.clear)
