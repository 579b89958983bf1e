"""What a fork must not leave behind in the child.

No other thread is in the middle of its turn at the clock then. Numbers that it
had taken, which is so only if a trace function has stopped it there, are given up
in the child.

In the child only the forking thread lives. All others' records are marked
dead, so whatever they held or had in the queue counts as given up.
"""

from __future__ import annotations

import os

from atomos.stm import _hearing, _queue, _registry, _seams, _statistics, _status, _turn


def _in_child() -> None:
    _turn.reset_after_fork()
    _status.reset_after_fork()
    _queue.reset_after_fork()
    _registry.forget_other_threads()
    _seams.reset_after_fork()
    _hearing.reset_after_fork()
    _statistics.reset_after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_turn.before_fork,
        after_in_parent=_turn.after_fork_in_parent,
        after_in_child=_in_child,
    )
