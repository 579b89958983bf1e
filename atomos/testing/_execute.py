"""One run: its threads are started, waited for, and ended, whatever happens."""

from __future__ import annotations

import gc
from _thread import allocate_lock, get_ident
from contextvars import Context
from functools import partial
from time import monotonic
from types import MethodType
from typing import TYPE_CHECKING, NamedTuple

from atomos import Atom
from atomos.stm._cell import Cell
from atomos.stm._handle import current_transaction
from atomos.stm._registry import my_record
from atomos.stm._seat import new_seat, seats
from atomos.stm._turn import clock
from atomos.testing._ending import stuck
from atomos.testing._errors import NestedRunError
from atomos.testing._instrument import instrumented
from atomos.testing._scheduler import Scheduler
from atomos.testing._task import Stop, controlled, my_task
from atomos.testing._turns import own_turns_back, own_turns_replaced
from atomos.testing._workers import hire

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from atomos.testing._errors import StuckError
    from atomos.testing._schedule import Choosing
    from atomos.testing._task import Task

__all__ = ["Bounds", "execute", "refuse_inside"]

#: Real seconds between looks: on its way to sleep a thread may overlook a signal.
LOOK = 0.2
#: Real seconds that a thread which came to no step is given to end.
GRACE = 0.5
#: There is one clock and so one run at a time: others wait for it.
_one = allocate_lock()


class Bounds(NamedTuple):
    """How long a run may last: in steps, and in real seconds without a step."""

    max_steps: int
    patience: float


def refuse_inside() -> None:
    """Raise where no run can be started.

    Raises:
        NestedRunError: The caller is inside of a run or of a transaction.
    """
    if my_task() is not None:
        where = "a run: the bodies of one run are threads of it; give all to one call"
    elif current_transaction() is not None:
        where = "a transaction, which its threads would wait for: call it outside"
    else:
        return
    msg = f"a run was started inside of {where}"
    raise NestedRunError(msg)


def execute(
    schedule: Choosing, bodies: Sequence[Callable[[], object]], bounds: Bounds
) -> Scheduler:
    """Run `bodies` under `schedule` until all have ended.

    Returns:
        The scheduler, with what happened; `over` is the error that ended it early.
    """
    scheduler = Scheduler(schedule.chooser(), bounds.max_steps)
    scheduler.give = partial(_give, scheduler)
    for body in bodies:
        scheduler.add(_name(body), _looked_up_late(body))
    if not bodies:
        return scheduler
    with _one, instrumented():
        collects = gc.isenabled()
        gc.disable()  # or finalizers would come in at other steps each time
        try:
            _begin_alike()
            _wait(scheduler, bounds.patience)
        finally:
            if collects:
                gc.enable()
    return scheduler


def _name(body: Callable[[], object]) -> str:
    while isinstance(body, partial):
        body = body.func
    name = getattr(body, "__name__", type(body).__name__)
    return str(name).strip("<>")


def _looked_up_late(body: Callable[[], object]) -> Callable[[], object]:
    """Return `body`; a method of a cell is looked up again, when it can be seen."""
    if isinstance(body, MethodType) and isinstance(body.__self__, Cell):
        return lambda: getattr(body.__self__, body.__name__)()
    return body


def _begin_alike() -> None:
    """See to it that atoms commit by the same steps whatever has run before.

    A commit of one cell is shorter where the cell is younger than the last commit
    that saw `observed`. Now all cells are older.
    """
    clock.observed = True
    Atom(0).reset(1)


def _give(scheduler: Scheduler, task: Task) -> None:
    """Let `task` go on; the first time in a thread that is hired for it."""
    worker = task.worker
    if worker is None:
        worker = task.worker = hire(f"{task.number} {task.name}")
        worker.job = partial(_perform, task)
    worker.gate.release()


def _perform(task: Task) -> bool:
    """Run one body in the thread that was hired for it, which has the baton."""
    ident = get_ident()
    record = my_record()
    if ident not in seats:
        new_seat()  # an atom takes a longer way in a thread that has none yet
    own_turns = own_turns_replaced(record)
    controlled[ident] = task
    try:
        if task.scheduler.over is None:
            assert task.body is not None
            task.result = Context().run(task.body)
        else:
            task.refuse()
    except Stop:
        pass
    except BaseException as error:
        if task.scheduler.over is None:
            task.error = error  # else it may come of our ending it
    finally:
        given_up = controlled.pop(ident, None) is not task
        own_turns_back(record, own_turns)
    if given_up:
        return False
    assert task.worker is not None
    task.worker.give_back()
    task.scheduler.end(task)
    return True


def _wait(scheduler: Scheduler, patience: float) -> None:
    """Let the first thread go on, and wait for the end of all."""
    try:
        scheduler.start()
        scheduler.over = _first_stuck(scheduler, patience) or scheduler.over
    except BaseException as error:
        scheduler.over = scheduler.over or error
        _wait_for_end(scheduler)
        raise
    if scheduler.over is not None:
        _wait_for_end(scheduler)


def _first_stuck(scheduler: Scheduler, patience: float) -> StuckError | None:
    """Wait for the end; return an error if a thread comes to no step for long."""
    seen, end = -1, 0.0
    while not scheduler.finished.acquire(timeout=min(LOOK, patience)):
        task = scheduler.current
        if task is None or len(scheduler.entries) != seen:
            seen, end = len(scheduler.entries), monotonic() + patience
        elif scheduler.over is not None:
            return None  # it was told to end
        elif monotonic() >= end:
            return stuck(task, patience)
    scheduler.finished.release()
    return None


def _wait_for_end(scheduler: Scheduler) -> None:
    """Wait until all threads have ended; those that do not are given up."""
    while not scheduler.finished.acquire(timeout=GRACE):
        task = scheduler.current
        if task is None or task.worker is None:
            return  # it was interrupted before it began
        seen = task.stopped
        if scheduler.finished.acquire(timeout=GRACE):
            return
        if task is scheduler.current and seen == task.stopped:
            ident = task.worker.thread.ident
            if controlled.pop(ident or 0, None) is not task:
                return  # likewise
            scheduler.end(task)
