"""One action that was sent to an agent, the running of it, and waiting for it.

An action is begun once: `begun` is looked at and set under a lock. So it does no
harm if it stands in the queue twice, or if its worker was cut short.

Whoever waits for an action registers first and looks at `done` afterwards; the
worker sets `done` first and looks at the waiters afterwards. So one of the two
sees the other, and nobody has to look again and again.
"""

from __future__ import annotations

import logging
import os
import threading
from _thread import allocate_lock
from collections import deque
from typing import TYPE_CHECKING, Any

from atomos._extras import guard
from atomos.errors import AgentShutdownError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Action", "Performance", "Waiter", "performing"]

_logger = logging.getLogger("atomos")


class Waiter:
    """A thread that waits for an action.

    Attributes:
        gate: Open once there is nothing to wait for.
        error: What to raise then; None if the action has run.
    """

    __slots__ = ("error", "gate")

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.gate = allocate_lock()
        self.gate.acquire()

    def tell(self, error: Exception | None) -> None:
        """Let the thread go on, with an error to raise or without."""
        if error is not None:
            self.error = error
        try:
            self.gate.release()
        except RuntimeError:
            pass  # it was told already


class Action:
    """One call that was sent.

    Attributes:
        fn: Called with the state, `args` and `kwargs`.
        off: It was sent with `send_off`. Never changes.
        begun: It must not be run any more: it was run, or taken back. Never
            reset. Set under the lock of `guard`.
        done: Its effects are visible, and what it has sent is sent. Never reset.
        waiters: Those to wake; None until there is one. Made under that lock.
    """

    __slots__ = ("args", "begun", "done", "fn", "kwargs", "off", "waiters")

    def __init__(
        self,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        off: bool,
    ) -> None:
        self.fn = fn
        self.args = args
        self.kwargs = kwargs
        self.off = off
        self.begun = False
        self.done = False
        self.waiters: dict[Waiter, None] | None = None

    def begin(self) -> bool:
        """Whether the caller, and nobody else, may run it."""
        with guard.lock:
            begun = self.begun
            self.begun = True
        return not begun

    def add(self, waiter: Waiter) -> None:
        """Have `waiter` told of the end, also if that is over."""
        fresh: dict[Waiter, None] = {}
        with guard.lock:
            if self.waiters is None:
                self.waiters = fresh
        assert self.waiters is not None
        self.waiters[waiter] = None
        if self.done:
            waiter.tell(None)

    def remove(self, waiter: Waiter) -> None:
        """Forget `waiter`."""
        if self.waiters is not None:
            self.waiters.pop(waiter, None)

    def waiting(self) -> list[Waiter]:
        """Return those who wait for it."""
        return [] if self.waiters is None else list(self.waiters.copy())


class Performance:
    """The running of an action. What it sends is held until it has ended.

    Attributes:
        agent: Whose action it is.
        held: What to call then, in order.
    """

    __slots__ = ("agent", "held")

    def __init__(self, agent: Any) -> None:
        self.agent = agent
        self.held: deque[Callable[[], object]] = deque()

    def hold(self, fn: Callable[[], object], /) -> None:
        """Have `fn` called after the action, unless that fails."""
        self.held.append(fn)

    def release(self) -> None:
        """Call what is held.

        Cut short, it may be called again. One may be called twice then, which for
        the posting of an action does no harm.
        """
        while self.held:
            try:
                self.held[0]()
            except AgentShutdownError as error:
                _logger.info("what an action of an agent sent is dropped: %s", error)
            self.held.popleft()


class _Performing(threading.local):
    """The running of an action by each thread.

    An action runs from its begin to its end without a pause, so whatever runs in
    its thread meanwhile was called by it.
    """

    now: Performance | None = None


performing = _Performing()


def _reset_after_fork() -> None:
    performing.now = None  # an action that forked goes on in the parent


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_after_fork)
