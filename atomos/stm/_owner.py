"""To whom a running transaction belongs: one thread and one asyncio task.

A `ContextVar` holds a `Seat`: the place in which a thread's running transaction
is found. It is set once for a thread, when it first runs a transaction; a
function that begins one then stores it into the seat, and takes it out when it
ends, with plain stores. That is right because a function runs from its begin to
its end without a pause: whoever runs in its thread meanwhile has been called by
it. A block may be left for a while, by `yield` or `await`, so each block has a
seat of its own and sets the variable, and a context that is not its own does
not see it.

A context is inherited: by tasks, by `copy_context().run`, by executor jobs, and
on some builds by every new thread. So each use compares the seat's thread and
the transaction's task with who is asking now. Whoever is another is outside.

asyncio is not imported here, since most programs that use this library do
without it: once somebody else has imported it, its functions are picked up.
"""

from __future__ import annotations

import sys
from _thread import get_ident
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, ClassVar

from atomos.stm._registry import ThreadRecord, my_record
from atomos.stm._turn import FREE

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "Asyncio",
    "Owner",
    "Seat",
    "current",
    "current_task",
    "modules",
    "seated",
    "take_seat",
]


#: What has been imported; an alias, for speed.
modules = sys.modules


class Asyncio:
    """The two functions of asyncio in use, once it has been imported.

    Attributes of a class, and of no instance: each use of an instance by two
    threads at once costs 60 ns more on a free-threaded build, for its reference
    count; classes have none there.
    """

    running_loop: ClassVar[Callable[[], Any] | None] = None
    current_task: ClassVar[Callable[[Any], Any] | None] = None


def current_task() -> object | None:
    """Return the asyncio task (or, in a callback, the loop) that is running.

    Returns:
        None where no loop runs in this thread.

    Cost: one dict lookup while asyncio is not imported, else two C calls.
    """
    running_loop = Asyncio.running_loop
    if running_loop is None:
        if "asyncio.tasks" not in modules:
            return None
        running_loop = _pick_up()
        if running_loop is None:
            return None
    loop: object | None = running_loop()
    if loop is None or Asyncio.current_task is None:
        return loop
    return Asyncio.current_task(loop) or loop


def _pick_up() -> Callable[[], Any] | None:
    """Take asyncio's functions; None while it is still being imported."""
    events = modules.get("asyncio.events")
    tasks = modules.get("asyncio.tasks")
    running_loop = getattr(events, "_get_running_loop", None)
    task = getattr(tasks, "current_task", None)
    if running_loop is None or task is None:
        return None
    Asyncio.current_task = task
    Asyncio.running_loop = running_loop
    return Asyncio.running_loop


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


class Seat:
    """Where the running transaction of one thread is found.

    Attributes:
        thread: The thread's record; its ident says who may sit here.
        tx: The transaction that runs there, or what stands in for it; None while
            nothing runs. Written only by the thread. `Any`, since the class of
            transactions builds on this module.
        spare: A transaction that has ended, as good as new, or None. To use it
            again saves 120 ns of 2,240 that a transfer takes on 3.11.
    """

    __slots__ = ("spare", "thread", "tx")

    def __init__(self, thread: ThreadRecord) -> None:
        self.thread = thread
        self.tx: Any = None
        self.spare: Any = None


def _nobodys_seat() -> Seat:
    """Return a seat in which nothing ever runs, of no thread."""
    record = ThreadRecord()
    record.ident, record.dead = 0, True
    return Seat(record)


#: The seat that is used in this context, or was when it was copied.
current: ContextVar[Seat] = ContextVar(
    "atomos.current",
    default=_nobodys_seat(),  # noqa: B039 - nobody writes it: its thread has no ident
)


#: The seats in use. While there are none, atoms need not look for their own, which
#: saves 3 ns of 36. Without the GIL a dict for all threads would cost more than that.
#: There only the truth of it is asked for.
seated: dict[Seat, None] = True if FREE else {}  # type: ignore[assignment] # truth only


def take_seat() -> Seat:
    """Return a free seat of the calling thread, and have this context use it.

    Cost: one look at the context; more when it is used for the first time.
    """
    seat = current.get()
    thread = my_record()
    if seat.thread is not thread or seat.tx is not None:
        seat = Seat(thread)
        current.set(seat)
    return seat
