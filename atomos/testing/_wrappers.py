"""Wrappers of the engine's functions, for `_instrument`."""

from __future__ import annotations

from functools import wraps
from math import inf
from typing import TYPE_CHECKING, Any

from atomos.testing._task import my_task

if TYPE_CHECKING:
    from collections.abc import Callable

    from atomos.stm._run import Run
    from atomos.stm._status import Patience, Status
    from atomos.stm._transaction import Transaction
    from atomos.stm._wait import Awaited, Sleeper
    from atomos.testing._scheduler import Scheduler
    from atomos.testing._task import Task

    Function = Callable[..., Any]

__all__ = [
    "labelled",
    "of_transaction",
    "waiting_asleep",
    "waiting_for_agents",
    "waiting_for_status",
    "with_step",
]


def with_step(
    operation: str, cell: int | None = None, *, can_stop: bool = True
) -> Callable[[Function], Function]:
    """Return a wrapper that announces a step before the call.

    Args:
        operation: Its name in the table.
        cell: Which argument is the cell; None if none is.
        can_stop: The run may end there; False for what cleans up.
    """

    def wrap(function: Function) -> Function:
        @wraps(function)
        def stepping(*args: Any) -> Any:
            task = my_task()
            if task is not None:
                on = None if cell is None else args[cell]
                task.scheduler.step(task, operation, on, can_stop=can_stop)
            return function(*args)

        return stepping

    return wrap


def of_transaction(
    operation: str, *, can_stop: bool = True
) -> Callable[[Function], Function]:
    """Return a wrapper as `with_step`, where the table has the transaction's name."""

    def wrap(function: Function) -> Function:
        @wraps(function)
        def stepping(tx: Transaction) -> Any:
            task = my_task()
            if task is not None:
                entry = task.scheduler.step(task, operation, can_stop=can_stop)
                if entry is not None:
                    entry.value = tx.label.rpartition("<locals>.")[2]
            return function(tx)

        return stepping

    return wrap


def labelled(operation: str, cell: int | None = None) -> Callable[[Function], Function]:
    """Return a wrapper that tells what the turn at the clock in the call is for."""

    def wrap(function: Function) -> Function:
        @wraps(function)
        def labelling(*args: Any) -> Any:
            task = my_task()
            if task is None:
                return function(*args)
            before = task.label
            task.label = operation, None if cell is None else args[cell]
            try:
                return function(*args)
            finally:
                task.label = before

        return labelling

    return wrap


def waiting_for_status(wait_for: Function) -> Function:
    """Wrap `_status.wait_for`: note for whom and what a thread waits."""

    @wraps(wait_for)
    def waiting(
        status: Status, patience: Patience | None, what: str, own: Status | None = None
    ) -> None:
        task = my_task()
        # Decided: as the one that was last in the queue of plain blocks, maybe in
        # another run.
        if task is None or status.gone():
            wait_for(status, patience, what, own)
            return
        task.scheduler.step(task, "wait")
        end = None if patience is None else patience.deadline
        task.patience = inf if end is None else end
        holder = _task_of(status, task.scheduler)
        task.outsider = holder is None
        who = "another thread" if holder is None else holder.title()
        before = task.waits_for
        task.waits_for = lambda: f"{what}; {who} has it, in {status.label}"
        try:
            wait_for(status, patience, what, own)
        finally:
            task.waits_for = before
            task.patience, task.outsider = None, False

    return waiting


def _task_of(status: Status, scheduler: Scheduler) -> Task | None:
    """Return whose status it is; None if its thread is not of the run."""
    for one in scheduler.tasks:
        worker, thread = one.worker, status.thread
        if worker and thread and worker.thread.ident == thread.ident:
            return one
    return None


def waiting_asleep(sleep: Function) -> Function:
    """Wrap `_wait._sleep`: note for which cells a thread waits."""

    @wraps(sleep)
    def waiting(run: Run, sleeper: Sleeper, awaited: Awaited) -> None:
        task = my_task()
        if task is None:
            sleep(run, sleeper, awaited)
            return
        names = task.scheduler.names
        task.scheduler.step(task, "wait")
        cells = [cell for cell, _ in awaited]
        before = task.waits_for
        task.waits_for = lambda: f"a change of {names.all(cells)}, in {run.label}"
        try:
            sleep(run, sleeper, awaited)
        finally:
            task.waits_for = before

    return waiting


def waiting_for_agents(met: Function) -> Function:
    """Wrap `_waiting._met`: note that a thread waits for an agent."""

    @wraps(met)
    def waiting(*args: Any) -> Any:
        task = my_task()
        if task is None:
            return met(*args)
        task.scheduler.step(task, "wait")
        before, task.waits_for = task.waits_for, lambda: "the actions of agents"
        try:
            return met(*args)
        finally:
            task.waits_for = before

    return waiting
