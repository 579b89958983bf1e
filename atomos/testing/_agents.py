"""The actions of agents, run by threads of the run."""

from __future__ import annotations

from concurrent.futures import Future
from functools import wraps
from typing import TYPE_CHECKING, Any

from atomos.testing._task import Stop, my_task

if TYPE_CHECKING:
    from collections.abc import Callable

    from atomos._performer import Performer
    from atomos._pools import Kick, Pools

    Submit = Callable[[Pools, Callable[[Kick], None], Kick], Future[None]]
    Report = Callable[[Performer[Any], BaseException, bool], None]

__all__ = ["submitting", "unless_stopped"]


def submitting(submit: Submit) -> Submit:
    """Wrap `Pools.submit`: in a run a job gets a thread of the run."""

    @wraps(submit)
    def submitted(pools: Pools, fn: Callable[[Kick], None], kick: Kick) -> Future[None]:
        task = my_task()
        if task is None:
            return submit(pools, fn, kick)
        future: Future[None] = Future()

        def job() -> None:
            future.set_running_or_notify_cancel()
            try:
                fn(kick)
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(None)

        name = "send_off" if kick.off else "send"
        task.scheduler.add(name, job, future.cancel)
        return future

    return submitted


def unless_stopped(report: Report) -> Report:
    """Wrap `Performer._report`: the end of a run is no error of an action."""

    @wraps(report)
    def reported(
        performer: Performer[Any], error: BaseException, committed: bool
    ) -> None:
        if not isinstance(error, Stop):
            report(performer, error, committed)

    return reported
