"""To whom something belongs: one thread and one asyncio task.

asyncio is not imported here, since most programs that use this library do
without it: once somebody else has imported it, its functions are picked up.
"""

from __future__ import annotations

import sys
from _thread import get_ident
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Asyncio", "Owner", "current_task", "modules"]


#: What has been imported; an alias, for speed.
modules = sys.modules


class Asyncio:
    """The two functions of asyncio in use, once it has been imported.

    Attributes of a class, and of no instance: each use of an instance by two
    threads at once costs 60 ns more on a free-threaded build, for its reference
    count; classes have none there.
    """

    #: Until then what it returns is never None, as if a loop was running.
    running_loop: ClassVar[Callable[[], Any]] = object
    current_task: ClassVar[Callable[[Any], Any] | None] = None


def current_task() -> object | None:
    """Return the asyncio task (or, in a callback, the loop) that is running.

    Returns:
        None where no loop runs in this thread.

    Cost: one dict lookup while asyncio is not imported, else two C calls.
    """
    running_loop = Asyncio.running_loop
    if running_loop is object:
        if "asyncio.tasks" not in modules or not _pick_up():
            return None
        running_loop = Asyncio.running_loop
    loop: object | None = running_loop()
    if loop is None or Asyncio.current_task is None:
        return loop
    return Asyncio.current_task(loop) or loop


def _pick_up() -> bool:
    """Take asyncio's functions; False while it is still being imported.

    Until its end a module has functions that are replaced there. From 3.14 on the
    first `current_task` knows nothing of the tasks that the second one tells of.
    """
    events = modules.get("asyncio.events")
    tasks = modules.get("asyncio.tasks")
    if getattr(getattr(tasks, "__spec__", None), "_initializing", False):
        return False
    running_loop = getattr(events, "_get_running_loop", None)
    task = getattr(tasks, "current_task", None)
    if running_loop is None or task is None:
        return False
    Asyncio.current_task = task
    Asyncio.running_loop = running_loop
    return True


class Owner:
    """The thread and the task that something belongs to.

    Attributes:
        ident: The thread's ident.
        task: What `current_task` said at the begin. Never changes.
        running: Whether it is a transaction that may be used.
    """

    __slots__ = ("ident", "running", "task")

    ident: int
    task: object | None
    running: bool

    def own(self) -> None:
        """Belong to whoever calls."""
        self.ident = get_ident()
        self.task = current_task()

    def is_here(self) -> bool:
        """Whether the caller is the owner."""
        return self.ident == get_ident() and self.task is current_task()
