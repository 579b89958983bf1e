"""What the tests of shared cells have in common: spaces, and processes to share them.

Functions that run in other processes stand in modules, since spawned processes import
them by name.
"""

from __future__ import annotations

import multiprocessing

METHODS = ["fork", "spawn", "forkserver"]
#: Seconds until a wait for a process is given up. Only a failing test waits that long.
PATIENCE = 60.0


class Process:
    """A function in a process of its own, and a pipe to what it returns."""

    def __init__(self, method, fn, *args):
        context = multiprocessing.get_context(method)
        self.pipe, there = context.Pipe()
        self.process = context.Process(target=_run, args=(there, fn, args))
        self.process.start()
        there.close()
        self.pid = self.process.pid

    def said(self, patience=PATIENCE):
        """Return what the function has sent next."""
        assert self.pipe.poll(patience), "nothing came"
        return self.pipe.recv()

    def tell(self, what):
        self.pipe.send(what)

    def join(self, patience=PATIENCE):
        """Wait for the end; return what the function returned, raise what it raised."""
        kind, value = self.said(patience)
        self.process.join(PATIENCE)
        assert self.process.exitcode == 0
        self.pipe.close()
        if kind == "raised":
            raise value
        return value

    def kill(self):
        self.process.kill()
        self.process.join(PATIENCE)
        self.pipe.close()


def _run(pipe, fn, args):
    try:
        pipe.send(("returned", fn(pipe, *args)))
    except BaseException as error:
        pipe.send(("raised", error))
