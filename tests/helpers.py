"""Threads that are waited for, and the forms of a transaction as data.

Nothing here sleeps. A schedule is made by running the other side from inside
the body of the one side: `elsewhere` runs it in another thread and waits for
it; `start` does not wait.
"""

from __future__ import annotations

import sys
import threading
from contextvars import Context
from time import monotonic

from atomos import Atom, Ref, atomically, dosync
from atomos.stm._turn import clock, more_numbers

#: Seconds until a wait is given up. Only a failing test waits that long.
PATIENCE = 30.0

#: Threads run one at a time.
GIL = getattr(sys, "_is_gil_enabled", lambda: True)()

CELLS = {"ref": Ref, "atom": Atom}
#: The forms that run their body again, and the one that does not.
RERUN_FORMS = ("decorator", "function", "loop")
FORMS = (*RERUN_FORMS, "block")
ISOLATIONS = ("serializable", "snapshot")


def draw_number():
    """Take a number of the clock, with the GIL; whoever has it must give it up."""
    while (number := next(clock.steps, None)) is None:
        more_numbers()
    return number


class Job:
    """A function that runs in a thread of its own."""

    def __init__(self, fn, *args):
        self._fn = fn
        self._args = args
        self._result = None
        self._error = None
        name = getattr(fn, "__qualname__", repr(fn))
        self.thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.thread.start()

    def _run(self):
        try:
            self._result = self._fn(*self._args)
        except BaseException as error:
            self._error = error
        del self._fn, self._args  # they may lead back here

    def join(self):
        """Wait for its end; return what it returned, raise what it raised."""
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive(), f"{self.thread.name} does not end"
        if self._error is not None:
            error, self._error = self._error, None
            try:
                raise error
            finally:
                del error
        result, self._result = self._result, None  # keep no value alive
        return result


def start(fn, *args):
    """Run `fn` in another thread; `join` the job later."""
    return Job(fn, *args)


def elsewhere(fn, *args):
    """Run `fn` in another thread and wait for it."""
    return Job(fn, *args).join()


def run_threads(*fns):
    """Run all at the same time; return their results."""
    ready = threading.Barrier(len(fns))

    def together(fn):
        ready.wait(PATIENCE)
        return fn()

    jobs = [start(together, fn) for fn in fns]
    return [job.join() for job in jobs]


def wait(event):
    """Wait for `event`, or fail."""
    assert event.wait(PATIENCE), "waited in vain"


class Parked:
    """A transaction in another thread, held at one point until told to go on.

    `body` gets one argument, a function that parks it.
    """

    def __init__(self, body):
        self._parked = threading.Event()
        self._go = threading.Event()
        self._body = body
        self._is_parked = False
        self._job = start(self._run)
        wait(self._parked)
        if not self._is_parked:
            self._job.join()
            raise AssertionError("it ended without parking")

    def _run(self):
        try:
            return self._body(self._park)
        finally:
            self._parked.set()

    def _park(self):
        if not self._is_parked:
            self._is_parked = True
            self._parked.set()
            wait(self._go)

    def go_on(self):
        """Let it go on."""
        self._go.set()

    def finish(self):
        """Let it go on; return its result."""
        self.go_on()
        return self._job.join()


class Snapshot:
    """A read_only block that stays open, in a context of its own of this thread."""

    def __init__(self, **options):
        self._context = Context()
        self._steps = self._run(options)
        self._context.run(next, self._steps)

    def _run(self, options):
        with dosync(read_only=True, **options):
            value = None
            while True:
                fn = yield value
                value = fn()

    def read(self, cell):
        """Return what the snapshot sees."""
        return self._context.run(self._steps.send, cell.deref)

    def close(self):
        self._context.run(self._steps.close)


def _top(job):
    """Return where the thread of `job` is: a name and an offset, None if nowhere."""
    frame = sys._current_frames().get(job.thread.ident)
    return None if frame is None else (frame.f_code.co_name, frame.f_lasti)


#: Where a thread sleeps in the engine.
SLEEPS = ("wait_for", "pass_gate")


def done_or_blocked(job):
    """Wait until `job` has ended, or waits for somebody.

    Either it sleeps in the engine, or it does not move on, waiting for a lock.
    """
    top, same = None, 0
    for _ in range(int(PATIENCE * 1000)):
        job.thread.join(0.001)
        before, top = top, _top(job)
        same = same + 1 if top == before else 0
        if not job.thread.is_alive() or same == 50:
            return
        if top is not None and top[0] in SLEEPS:
            return
    raise AssertionError(f"{job.thread.name} neither ends nor waits")


def blocked(job):
    """Wait until the thread of `job` sleeps in the engine, waiting for somebody."""
    while (_top(job) or [""])[0] not in SLEEPS:
        job.thread.join(0.001)
        assert job.thread.is_alive(), f"{job.thread.name} does not wait for anybody"


def until(holds):
    """Repeat ``holds()`` until it is true, or fail."""
    end = monotonic() + PATIENCE
    while not holds():
        assert monotonic() < end, "it did not become true"


def asleep(*cells):
    """Wait until somebody sleeps until one of the cells changes."""
    until(lambda: all(cell._sleepers for cell in cells))


def put(cell, value):
    """Set a ref or an atom."""
    return cell.set(value) if isinstance(cell, Ref) else cell.reset(value)


def change(cell, fn, *args):
    """Change a ref or an atom by a function."""
    return (cell.alter if isinstance(cell, Ref) else cell.swap)(fn, *args)


def commit(*pairs):
    """Set cells to values in one transaction: ``commit(a, 1, b, 2)``."""

    def body():
        for cell, value in zip(pairs[::2], pairs[1::2], strict=True):
            put(cell, value)

    atomically(body)


def transact(form, body, **options):
    """Run `body` once as a transaction of that form; return its value."""
    if form == "decorator":
        return (dosync(**options) if options else dosync)(body)()
    if form == "function":
        if not options:
            return atomically(body)
        # `atomically` has no options: give them to the one that it joins.
        return dosync(**options)(atomically)(body)
    if form == "loop":
        for tx in dosync(**options):
            with tx:
                value = body()
        return value
    assert form == "block"
    with dosync(**options):
        return body()


class Attempts:
    """Counts the runs of a body, and does something in the first one only."""

    def __init__(self):
        self.count = 0

    def begin(self):
        self.count += 1

    def once(self, fn, *args):
        """Run `fn` elsewhere if this is the first attempt."""
        if self.count == 1:
            elsewhere(fn, *args)
