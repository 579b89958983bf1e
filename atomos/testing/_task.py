"""The threads of a run, as the scheduler knows them."""

from __future__ import annotations

from _thread import get_ident
from math import inf
from typing import TYPE_CHECKING, Any

from atomos.testing._table import bounded

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from atomos.stm._cell import Cell
    from atomos.testing._scheduler import Scheduler
    from atomos.testing._workers import Worker

    class Held(Protocol):
        """What a thread waits for."""

        held: bool


__all__ = ["Entry", "Stop", "Task", "controlled", "my_task"]


#: Types whose values never change.
UNCHANGING = (int, float, bool)


class Stop(BaseException):
    """Ends a thread of a run that is over. No error: nobody but us may catch it."""


class Entry:
    """One step that happened; its value comes later.

    Attributes:
        value: None before; then text, or an object whose `repr` never changes.
    """

    __slots__ = ("cell", "operation", "switched", "task", "value")

    def __init__(
        self, task: Task, operation: str, cell: Cell[Any] | None, switched: bool
    ) -> None:
        self.task = task
        self.operation = operation
        self.cell = cell
        self.switched = switched
        self.value: object = None


class Task:
    """One thread of a run.

    Written only by who has the baton, and so by one thread at a time.

    Attributes:
        scheduler: Of its run.
        number: From 0 on, in order of coming. Never changes.
        name: Of what it runs.
        body: What it runs; dropped at the end.
        refuse: Called instead of `body` if the run is over before it begins.
        worker: The real thread; None before it first has the baton.
        done: Nothing is left to do. Never reset.
        result: What `body` returned.
        error: What it raised.
        gate: What it waits for; None while it can go on.
        deadline: When its wait ends at the latest, in virtual seconds.
        patience: In a wait for a status: when its own timeout ends; else None.
        rechecked: How many steps there were when it last looked again by itself.
        waits_for: Returns in words what it waits for.
        outsider: Whom it waits for is not of this run.
        label: What the next turn at the clock is for, and the cell of it.
        open: Its operations that have begun and not ended.
        looks: What it did since anybody changed anything -> how often.
        seen: How many changes there were when `looks` was begun.
        tired: How many there were when it was found to wait for the others.
        stopped: Steps since it was told to end; 0 if it was not.
        quiet: Its steps count for nothing: it makes text for the table.
    """

    __slots__ = (
        "body",
        "deadline",
        "done",
        "error",
        "gate",
        "label",
        "looks",
        "name",
        "number",
        "open",
        "outsider",
        "patience",
        "quiet",
        "rechecked",
        "refuse",
        "result",
        "scheduler",
        "seen",
        "stopped",
        "tired",
        "waits_for",
        "worker",
    )

    def __init__(
        self,
        scheduler: Scheduler,
        number: int,
        name: str,
        body: Callable[[], object],
        refuse: Callable[[], object],
    ) -> None:
        self.scheduler = scheduler
        self.number = number
        self.name = name
        self.body: Callable[[], object] | None = body
        self.refuse = refuse
        self.worker: Worker | None = None
        self.done = self.quiet = self.outsider = False
        self.result: object = None
        self.error: BaseException | None = None
        self.gate: Held | None = None
        self.deadline = inf
        self.patience: float | None = None
        self.rechecked = self.tired = -1
        self.waits_for: Callable[[], str] = lambda: "a lock"
        self.label: tuple[str, Cell[Any] | None] | None = None
        self.open: list[Entry | None] = []
        self.looks: dict[object, int] = {}
        self.seen = self.stopped = 0

    def title(self) -> str:
        """Return what tables and messages call it."""
        return f"{self.number} {self.name}"

    def fill(self, value: object) -> None:
        """Note what came out of its operation that ends."""
        entry = self.open.pop()
        if entry is None:
            return
        if type(value) in UNCHANGING:
            entry.value = value  # its text can be made later
            return
        self.quiet = True
        try:
            entry.value = bounded(value)
        finally:
            self.quiet = False

    def fail(self, error: BaseException) -> None:
        """Note that its operation ends with an exception."""
        entry = self.open.pop()
        if entry is not None and not isinstance(error, Stop):
            entry.value = f"! {type(error).__name__}"


#: Thread ident -> what it is in the run that is under way. Each thread writes its own.
controlled: dict[int, Task] = {}


def my_task() -> Task | None:
    """Return what the calling thread is in a run; None if it is of none."""
    return controlled.get(get_ident())
