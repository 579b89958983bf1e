"""Something happens at each point where the interpreter may turn to others.

`PyThreadState_SetAsyncExc` and signal handlers come in, and threads switch,
where the interpreter looks for such things: when a function is entered, after a
call of a C function, and when a loop goes round. A scenario is run again and
again: the first time something happens at the first such point inside of
atomos, then at the second one, and so on.
"""

from __future__ import annotations

import os
import sys
from opcode import opname

from helpers import done_or_blocked, start

import atomos

_HERE = os.path.dirname(atomos.__file__)
_CALLS = ("CALL", "PRECALL", "CALL_KW", "CALL_FUNCTION_EX")
#: A jump back at which the interpreter does not look for such things.
_SILENT = "JUMP_BACKWARD_NO_INTERRUPT"


class Interrupted(BaseException):
    """As `KeyboardInterrupt`, but nobody else raises it."""


class Tracer:
    """Calls `act` at the n-th point; counts no points while not `armed`.

    Attributes:
        where: The point, once it has been met.
    """

    def __init__(self, n, act):
        self._left = n
        self._act = act
        self._last = {}
        self.armed = True
        self.where = None

    def __call__(self, frame, event, arg):
        if not frame.f_code.co_filename.startswith(_HERE):
            return None
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        self._met(frame)
        return self._inner

    def _inner(self, frame, event, arg):
        key = id(frame)
        if event == "opcode":
            before = self._last.get(key)
            now = frame.f_lasti
            self._last[key] = now
            if before is not None:
                code = frame.f_code.co_code
                name, following = opname[code[before]], opname[code[now]]
                # 3.11 has PRECALL before CALL, and calls in the second one.
                called = name in _CALLS and following != "CALL"
                if called or (now < before and name != _SILENT):
                    self._met(frame)
        elif event == "exception":
            # What is called has raised: the interpreter goes to the handler at once.
            self._last.pop(key, None)
        elif event == "return":
            self._last.pop(key, None)
            if frame.f_back is not None:
                # No C function: the interpreter does not look after this call.
                self._last.pop(id(frame.f_back), None)
        return self._inner

    def _met(self, frame):
        if not self.armed:
            return
        self._left -= 1
        if self._left == 0:
            self.where = f"{frame.f_code.co_qualname}, line {frame.f_lineno}"
            self._act()

    def run(self, fn):
        """Run `fn` in this thread under the eyes of this tracer."""
        before = sys.gettrace()
        sys.settrace(self)
        try:
            return fn()
        finally:
            sys.settrace(before)


def _interrupt():
    raise Interrupted


def _at_each_point(make):
    """Have ``make(n)`` run a scenario with a tracer, until all points were met."""
    n = 0
    while True:
        n += 1
        tracer, check = make(n)
        try:
            check()
        except BaseException as error:
            error.add_note(f"at point {n}: {tracer.where}")
            raise
        if tracer.where is None:
            return n - 1


def interrupted_at_each_point(scenario, check):
    """Run what ``scenario(tracer)`` makes, interrupted at each of its points.

    After each run `check` is called. All is done in one thread, which lives on.

    Returns:
        The number of points.
    """

    def make(n):
        tracer = Tracer(n, _interrupt)
        run = scenario(tracer)
        try:
            tracer.run(run)
        except Interrupted:
            pass
        return tracer, check

    return _at_each_point(make)


def preempted_at_each_point(scenario):
    """Run one function, and at each of its points another one in another thread.

    The other one runs until it ends, or waits for the first one.

    Args:
        scenario: Called for each run; returns the first function, the other
            one, and what to call with both results.

    Returns:
        The number of points.
    """

    def make(n):
        one, other, check = scenario()
        jobs = []

        def act():
            jobs.append(start(other))
            done_or_blocked(jobs[0])

        tracer = Tracer(n, act)
        result = tracer.run(one)
        results = (result, jobs[0].join() if jobs else other())
        return tracer, lambda: check(*results)

    return _at_each_point(make)
