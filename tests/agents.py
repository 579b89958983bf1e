"""What the tests of agents share: executors under control, and parked actions."""

from __future__ import annotations

from concurrent.futures import Executor, Future
from threading import Event

from helpers import wait


class Manual(Executor):
    """Runs a job when it is told to, in the thread that tells it."""

    def __init__(self):
        self.jobs = []
        self.closed = False

    def submit(self, fn, /, *args, **kwargs):
        if self.closed:
            raise RuntimeError("cannot schedule new futures after shutdown")
        future = Future()
        self.jobs.append((future, fn, args, kwargs))
        return future

    def run_one(self):
        """Run the job that was submitted first."""
        future, fn, args, kwargs = self.jobs.pop(0)
        if future.set_running_or_notify_cancel():
            fn(*args, **kwargs)
            future.set_result(None)

    def run_all(self):
        """Run jobs until there are none."""
        while self.jobs:
            self.run_one()


class Inline(Executor):
    """Runs each job at once, in the thread that submits it."""

    def submit(self, fn, /, *args, **kwargs):
        future = Future()
        future.set_result(fn(*args, **kwargs))
        return future


class Park:
    """An action that waits in the middle until it is told to go on."""

    def __init__(self):
        self.begun = Event()
        self.go_on = Event()

    def __call__(self, state, then=lambda state: state):
        self.begun.set()
        wait(self.go_on)
        return then(state)


def append(items, item):
    return (*items, item)


def add(n, m=1):
    return n + m
