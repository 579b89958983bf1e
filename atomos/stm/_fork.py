"""What a fork must not leave behind in the child.

Before a fork the clock's lock is taken, so no thread is in the middle of a
section under it; the child starts with a new one. A history's guard
may be held for longer, by a thread that runs other code meanwhile, so it is not
waited for: in the child each history is put in order when next used.

In the child only the forking thread lives. All others' records are marked
dead, so whatever they held or had in the queue counts as given up.
"""

from __future__ import annotations

import os

from atomos.stm import _history, _queue, _registry, _status
from atomos.stm._clock import clock


def _before() -> None:
    clock.lock.acquire()


def _in_parent() -> None:
    clock.lock.release()


def _in_child() -> None:
    clock.lock._at_fork_reinit()  # type: ignore[attr-defined] # not in typeshed
    for guard in _history.guards:
        guard.lock._at_fork_reinit()  # type: ignore[attr-defined] # not in typeshed
        guard.holder = 0
    _status.reset_after_fork()
    _queue.reset_after_fork()
    _registry.forget_other_threads()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before, after_in_parent=_in_parent, after_in_child=_in_child
    )
