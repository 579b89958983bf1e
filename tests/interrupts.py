"""An exception from outside, at each point where the interpreter may raise one.

`PyThreadState_SetAsyncExc` and signal handlers raise where the interpreter looks
for such things: when a function is entered, after a call of a C function, and
when a loop goes round. `interrupted_at_each_point` runs a scenario again and
again, and has it raise `Interrupted` at the first such point inside of atomos,
then at the second one, and so on.
"""

from __future__ import annotations

import os
import sys
from opcode import opname

import atomos

_HERE = os.path.dirname(atomos.__file__)
_CALLS = ("CALL", "PRECALL", "CALL_KW", "CALL_FUNCTION_EX")


class Interrupted(BaseException):
    """As `KeyboardInterrupt`, but nobody else raises it."""


class _Tracer:
    """Raises at the n-th point; counts in `seen` the points that were met."""

    def __init__(self, n):
        self._n = n
        self._last = {}
        self.seen = 0
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
                # JUMP_BACKWARD_NO_INTERRUPT is named so since it does not look.
                jumped = now < before and name != "JUMP_BACKWARD_NO_INTERRUPT"
                if called or jumped:
                    self._met(frame)
        elif event == "return":
            self._last.pop(key, None)
            if frame.f_back is not None:
                # No C function: the interpreter does not look after this call.
                self._last.pop(id(frame.f_back), None)
        return self._inner

    def _met(self, frame):
        if not self.armed:
            return
        self.seen += 1
        if self.seen == self._n:
            code = frame.f_code
            self.where = f"{code.co_qualname}, line {frame.f_lineno}"
            raise Interrupted


def interrupted_at_each_point(scenario, check):
    """Run what `scenario` makes, interrupted at each of its points; `check` each.

    `scenario` gets a tracer, which counts no points while its `armed` is false.
    All runs in one thread, which lives on.

    Returns:
        The number of points.
    """
    n = 0
    while True:
        n += 1
        tracer = _Tracer(n)
        run = scenario(tracer)
        before = sys.gettrace()
        sys.settrace(tracer)
        try:
            run()
        except Interrupted:
            pass
        finally:
            sys.settrace(before)
        try:
            check()
        except BaseException as error:
            error.add_note(f"interrupted at point {n}: {tracer.where}")
            raise
        if tracer.where is None:
            return n - 1
