"""The pools of threads that all agents share.

Two of them, made when first needed: one of the size of the machine, for actions
that compute, and one that grows, for actions that wait. Their threads are those
of `concurrent.futures`, which joins them when the interpreter exits; from then on
it refuses new work. Whoever hands work in must expect that (see `_serial`).

In the child of a fork no thread of a pool is left, so the pools are made anew.
"""

from __future__ import annotations

import os
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from atomos._extras import guard
from atomos.errors import AgentShutdownError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Kick", "Pools", "pools"]

#: Threads beyond the processors, so that one that waits a moment stops nobody.
SPARE: Final = 2
CLOSED: Final = "shutdown_agents() was called"
#: So many threads at most does the growing pool have; then actions queue.
MOST: Final = 10_000


def _processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Kick:
    """A job in a pool: to run the actions of one agent for a while.

    Attributes:
        off: In the growing pool. Never changes.
        begun: It runs, has run, or never will. Never reset.
        ident: The thread that runs it; 0 before.
    """

    __slots__ = ("begun", "ident", "off")

    def __init__(self, off: bool) -> None:
        self.off = off
        self.begun = False
        self.ident = 0


class Pools:
    """Both pools.

    Attributes:
        fixed: For `send`; None until first needed. Set under the lock of `guard`.
        growing: For `send_off`, likewise.
        closed: Nothing is taken any more. Set under that lock, never reset.
        era: How many forks lie between the first process and this one.
    """

    __slots__ = ("closed", "era", "fixed", "growing")

    def __init__(self) -> None:
        self.fixed: Executor | None = None
        self.growing: Executor | None = None
        self.closed = False
        self.era = 0

    def submit(self, fn: Callable[[Kick], None], kick: Kick) -> Future[None]:
        """Have ``fn(kick)`` run by a thread of the pool that `kick` wants.

        Raises:
            AgentShutdownError: `shutdown` was called.
            RuntimeError: The interpreter exits, or can start no thread.
        """
        pool = self.growing if kick.off else self.fixed
        if pool is None:
            pool = self._make(kick.off)
        if self.closed:
            raise AgentShutdownError(CLOSED)
        return pool.submit(fn, kick)

    def _make(self, off: bool) -> Executor:
        """Make a pool, unless another thread was faster."""
        name = "atomos-send_off" if off else "atomos-send"
        made = ThreadPoolExecutor(MOST if off else _processors() + SPARE, name)
        pool: Executor | None
        with guard.lock:
            pool = self.growing if off else self.fixed
            if pool is None and not self.closed:
                pool = made
                if off:
                    self.growing = made
                else:
                    self.fixed = made
        if pool is None:
            raise AgentShutdownError(CLOSED)
        return pool

    def shutdown(self, wait: bool) -> None:
        """Take nothing any more; what was taken is still run.

        Args:
            wait: Return when that is done.
        """
        with guard.lock:
            self.closed = True
        for pool in (self.fixed, self.growing):
            if pool is not None:
                pool.shutdown(wait=False)
        for pool in (self.fixed, self.growing):
            if pool is not None and wait:
                pool.shutdown(wait=True)


pools = Pools()


def _reset_after_fork() -> None:
    pools.fixed = pools.growing = None
    pools.era += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_after_fork)
