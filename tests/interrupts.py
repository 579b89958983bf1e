"""Something happens at each point where the interpreter may turn to others.

`PyThreadState_SetAsyncExc` and signal handlers come in, and threads switch,
where the interpreter looks for such things: when a function is entered, after a
call of a C function, and when a loop goes round. A scenario is run again and
again: the first time something happens at the first such point inside of
atomos, then at the second one, and so on.

Without the GIL threads run side by side, so there each opcode is such a point:
`preempted_at_each_opcode`, and `stopped_once` for one moment in particular.
"""

from __future__ import annotations

import os
import sys
import threading
from opcode import opname
from zlib import crc32

from helpers import done_or_blocked, start

import atomos
from atomos.stm._turn import FREE

_HERE = os.path.dirname(atomos.__file__)
_CALLS = ("CALL", "PRECALL", "CALL_KW", "CALL_FUNCTION_EX")
#: A jump back at which the interpreter does not look for such things.
_SILENT = "JUMP_BACKWARD_NO_INTERRUPT"
#: Of the points every third one is tried, from one on that the name of the test
#: decides, so that similar tests try different ones; `make points` tries all of them.
#: Without the GIL every fifth, as a run takes twice as long.
STRIDE = int(os.environ.get("ATOMOS_TEST_STRIDE", "5" if FREE else "3"))


#: On 3.12 opcodes are traced only by a `sys.settrace` that follows such a store.
sys._getframe().f_trace_opcodes = True


class Interrupted(BaseException):
    """As `KeyboardInterrupt`, but nobody else raises it."""


def _watch(frame, tracer):
    """Trace the opcodes of a frame that begins; whether it is one of atomos."""
    if not frame.f_code.co_filename.startswith(_HERE):
        return False
    frame.f_trace = tracer  # on 3.13 the next line does nothing before it
    frame.f_trace_opcodes = True
    frame.f_trace_lines = False
    return True


def _look_on(frame, event, arg):
    """Trace a thread for nothing."""
    if event == "call":
        return _look_on if _watch(frame, _look_on) else None
    return _look_on


class _LookingOn:
    """All threads that begin are traced while any tracer runs.

    On 3.13 a thread that runs some code without being traced ends the tracing of
    opcodes in that code, also for those that are in the middle of it.
    """

    lock = threading.Lock()
    count = 0
    before = None

    @classmethod
    def begin(cls):
        with cls.lock:
            if cls.count == 0 and sys.version_info >= (3, 13):
                cls.before = threading.gettrace()
                threading.settrace(_look_on)
            cls.count += 1

    @classmethod
    def end(cls):
        with cls.lock:
            cls.count -= 1
            if cls.count == 0 and sys.version_info >= (3, 13):
                threading.settrace(cls.before)


class Tracer:
    """Calls `act` at the n-th point; counts no points while not `armed`.

    Attributes:
        left: Points to come up to the n-th one.
        where: The point, once it has been met.
    """

    def __init__(self, n, act):
        self.left = n
        self._act = act
        self._last = {}
        self.armed = True
        self.where = None

    def __call__(self, frame, event, arg):
        if self._is_over() or not _watch(frame, self._inner):
            return None
        self._met(frame)
        return self._inner

    def _is_over(self):
        """Whether it has happened, and no other tracer needs opcodes; saves time."""
        return self.left < 1 and _LookingOn.count == 1

    def _inner(self, frame, event, arg):
        if self.left < 1:
            if self._is_over():
                frame.f_trace_opcodes = False
                return None
            return self._inner
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
        self.left -= 1
        if self.left == 0:
            self.where = f"{frame.f_code.co_qualname}, line {frame.f_lineno}"
            self._act()

    def run(self, fn):
        """Run `fn` in this thread under the eyes of this tracer."""
        before = sys.gettrace()
        _LookingOn.begin()
        sys.settrace(self)
        try:
            return fn()
        finally:
            sys.settrace(before)
            _LookingOn.end()


class Opcodes(Tracer):
    """Calls `act` before the n-th of those opcodes for which ``when(frame)`` holds.

    With `again`, before each n-th one, ten times at most.
    """

    def __init__(self, n, act, when, again=False):
        super().__init__(n, act)
        self._when = when
        self._again = n if again else 0
        self._times = 0

    def __call__(self, frame, event, arg):
        return self._inner if _watch(frame, self._inner) else None

    def _inner(self, frame, event, arg):
        if event == "opcode" and self.left > 0 and self._when(frame):
            self._met(frame)
            if self.left == 0 and self._times < 10:
                self._times += 1
                self.left = self._again
        return self._inner


def within(*functions):
    """Return a `when` for `Opcodes`: in the middle of one of these functions."""
    codes = [function.__code__ for function in functions]
    return lambda frame: frame.f_code in codes


def stopped_once(fn, when, act):
    """Run `fn`; call `act` before the first opcode for which ``when(frame)`` holds.

    `act` may raise, but not while another thread is traced: CPython 3.12.1 crashes.
    """
    tracer = Opcodes(1, act, when)
    try:
        return tracer.run(fn)
    finally:
        assert tracer.where is not None, "that moment never came"


def _interrupt():
    raise Interrupted


def _at_each_point(make, stride):
    """Have ``make(n)`` run a scenario with a tracer, until all points were met."""
    test = os.environ.get("PYTEST_CURRENT_TEST", "")
    n = 1 + crc32(test.encode()) % stride - stride
    while True:
        n += stride
        tracer, check = make(n)
        try:
            check()
        except BaseException as error:
            error.add_note(f"at point {n}: {tracer.where}")
            raise
        if tracer.where is None:
            return n - tracer.left


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

    return _at_each_point(make, STRIDE)


def preempted_at_each_point(scenario, make_tracer=Tracer):
    """Run one function, and at each of its points another one in another thread.

    The other one runs until it ends, or waits for the first one.

    Args:
        scenario: Called for each run; returns the first function, the other
            one, and what to call with both results.
        make_tracer: Says what a point is.

    Returns:
        The number of points.
    """

    def make(n):
        one, other, check = scenario()
        jobs = []

        def act():
            jobs.append(start(other))
            done_or_blocked(jobs[-1])

        tracer = make_tracer(n, act)
        result = tracer.run(one)
        others = [job.join() for job in jobs] or [other()]
        return tracer, lambda: check(result, others[-1])

    return _at_each_point(make, STRIDE if make_tracer is Tracer else 1)


def preempted_at_each_opcode(scenario, when, again=False):
    """As `preempted_at_each_point`, at each opcode for which ``when(frame)`` holds.

    With `again`, at each first one, at each second one, and so on: the other one
    runs several times.
    """
    return preempted_at_each_point(
        scenario, lambda n, act: Opcodes(n, act, when, again)
    )
