"""Processes that tests start, speak with, stop and kill.

A child is a fork that runs one function with a `Line` to its parent and ends without
any clean-up. Nothing sleeps: each side waits until the other says something.
"""

from __future__ import annotations

import os
import pickle
import signal
import socket
import struct
import sys
import traceback
import warnings

#: Seconds until a wait is given up. Only a failing test waits that long.
PATIENCE = 30.0


class Line:
    """Messages to and from another process."""

    def __init__(self, end):
        self._end = end
        end.settimeout(PATIENCE)

    def say(self, value=None):
        data = pickle.dumps(value)
        self._end.sendall(struct.pack("I", len(data)) + data)

    def hear(self):
        """Return what the other side says next; EOFError once it is gone."""
        size = struct.unpack("I", self._read(4))[0]
        return pickle.loads(self._read(size))

    def _read(self, size):
        data = b""
        while len(data) < size:
            try:
                more = self._end.recv(size - len(data))
            except ConnectionError:
                more = b""
            if not more:
                raise EOFError
            data += more
        return data

    def close(self):
        self._end.close()


class Child:
    """A forked process that runs `function(line, *arguments)`."""

    def __init__(self, function, *arguments):
        ours, theirs = socket.socketpair()
        sys.stdout.flush()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of 3.12, for threads
            self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                ours.close()
                function(Line(theirs), *arguments)
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(code)
        theirs.close()
        self.line = Line(ours)
        self.say, self.hear = self.line.say, self.line.hear
        self.code = None

    def signal(self, number):
        os.kill(self.pid, number)

    def stop(self):
        """Stop it, and wait until it is."""
        self.signal(signal.SIGSTOP)
        os.waitpid(self.pid, os.WUNTRACED)

    def kill(self):
        """Kill it, and wait until it is gone."""
        if self.code is None:
            self.signal(signal.SIGKILL)
            self.wait()
        self.line.close()

    def wait(self):
        """Wait for its end; return its code, or minus the signal."""
        if self.code is None:
            self.code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.code

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if kind is not None:
            self.kill()
            return
        code = self.wait()
        self.line.close()
        assert code == 0, f"the child ended with {code}"
