"""What a fork must not leave behind in the child.

No thread is in the middle of its turn at the clock then; numbers that others
had taken are given up in the child. A history's guard
may be held for longer, by a thread that runs other code meanwhile, so it is not
waited for: in the child each history is put in order when next used.

In the child only the forking thread lives. All others' records are marked
dead, so whatever they held or had in the queue counts as given up.
"""

from __future__ import annotations

import os

from atomos.stm import _clock, _history, _queue, _registry, _status


def _in_child() -> None:
    _clock.reset_after_fork()
    for guard in _history.guards:
        guard.lock._at_fork_reinit()  # type: ignore[attr-defined] # not in typeshed
        guard.holder = 0
    _status.reset_after_fork()
    _queue.reset_after_fork()
    _registry.forget_other_threads()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_clock.before_fork,
        after_in_parent=_clock.after_fork_in_parent,
        after_in_child=_in_child,
    )
