"""What is replaced while somebody runs under a schedule, and put back afterwards.

Each wrapper first asks whether the calling thread is of a run; all others go on as
if nothing was there. While several runs follow each other, as in `explore`, all of it
stays in place.
"""

from __future__ import annotations

import sys
from _thread import allocate_lock
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

from atomos import _action, _performer, _serial, _waiting
from atomos._pools import Pools
from atomos.stm import (
    _account,
    _clock,
    _commit,
    _history,
    _hold,
    _publish,
    _queue,
    _run,
    _runner,
    _solo,
    _status,
    _transaction,
    _turn,
    _wait,
)
from atomos.stm._operations import Listener, listen, unlisten
from atomos.stm._seams import Seams, original
from atomos.stm._turn import FREE
from atomos.testing._agents import submitting, unless_stopped
from atomos.testing._locks import gates
from atomos.testing._task import my_task
from atomos.testing._time import clocks
from atomos.testing._turns import Replaced, announcing
from atomos.testing._wrappers import (
    labelled,
    of_transaction,
    waiting_asleep,
    waiting_for_agents,
    waiting_for_status,
    with_step,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

    from atomos.stm._cell import Cell

__all__ = ["instrumented"]

Wrap: TypeAlias = "Callable[[Any], Any]"

#: Functions that are replaced wherever they were imported.
FUNCTIONS: tuple[tuple[ModuleType, str, Wrap], ...] = (
    (_hold, "take", labelled("hold", 0)),
    (_clock, "commit_point", labelled("commit")),
    (_publish, "publish_one", labelled("commit")),
    (_publish, "publish_two", labelled("commit")),
    (_solo, "clear_way", labelled("clear way", 0)),
    (_wait, "_enter", labelled("enter", 0)),
    (_wait, "_leave", labelled("leave", 0)),
    (_clock, "finished_point", with_step("look at clock")),
    (_clock, "read_point", with_step("read point")),
    (_history, "read_old", with_step("read old", 0)),
    (_commit, "_link", with_step("link")),
    (_commit, "_settle", with_step("settle", can_stop=False)),
    (_wait, "wake", with_step("wake", 0, can_stop=False)),
    (_runner, "finish", of_transaction("end", can_stop=False)),
    (_queue, "turn", with_step("queue")),
    (_status, "wait_for", waiting_for_status),
    (_wait, "_sleep", waiting_asleep),
    (_waiting, "_met", waiting_for_agents),
)

#: Names of one class or module alone.
PLACES: tuple[tuple[Any, str, Wrap], ...] = (
    (_transaction.Transaction, "begin", of_transaction("begin")),
    (_commit, "latest", with_step("validate", 0)),
    (_transaction, "latest", with_step("look", 0)),
    (_wait, "latest", with_step("look", 0)),
    (_performer.Performer, "_perform", with_step("perform", 0)),
    (_performer, "exchange", labelled("publish", 0)),
    (_performer.Performer, "_report", unless_stopped),
    (_serial.Serial, "_schedule", with_step("schedule", 0)),
    (_serial.Serial, "_finish", with_step("finish", 0, can_stop=False)),
    (Pools, "submit", submitting),
    *((module, "allocate_lock", gates) for module in (_status, _wait, _action)),
    *(
        (module, "monotonic", clocks)
        for module in (
            _account,
            _run,
            _status,
            _wait,
            _transaction,
            _serial,
            _waiting,
        )
    ),
)


class _Heard(Listener):
    """Makes each operation of a cell a step."""

    def before(self, cell: Cell[Any], name: str, args: tuple[Any, ...]) -> None:
        task = my_task()
        if task is not None:
            task.open.append(task.scheduler.step(task, name, cell))

    def after(
        self, cell: Cell[Any], name: str, args: tuple[Any, ...], result: object
    ) -> None:
        task = my_task()
        if task is not None:
            task.fill(result)

    def failed(
        self, cell: Cell[Any], name: str, args: tuple[Any, ...], error: BaseException
    ) -> None:
        task = my_task()
        if task is not None:
            task.fail(error)


class _Instruments:
    """All that is replaced.

    Attributes:
        users: How many there are. Written under `lock`, as all the rest.
    """

    def __init__(self) -> None:
        self.lock = allocate_lock()
        self._users = 0
        self._seams = Seams()
        self._heard = _Heard()
        self._turns: Replaced | None = None
        self._found: list[tuple[Any, str, Wrap]] = []
        self._modules = 0

    def open(self) -> None:
        """Replace it, if nobody has."""
        with self.lock:
            self._users += 1
            if self._users > 1:
                return
            for place in self._places():
                self._seams.method(*place)
            listen(self._heard)
            self._turns = Replaced()

    def close(self) -> None:
        """Put it back, if nobody else uses it."""
        with self.lock:
            self._users -= 1
            if self._users:
                return
            if self._turns is not None:
                self._turns.close()
                self._turns = None
            unlisten(self._heard)
            self._seams.close()

    def _places(self) -> list[tuple[Any, str, Wrap]]:
        """Return all places; found again only if modules were imported since."""
        if self._modules != len(sys.modules):
            self._modules = len(sys.modules)
            functions = list(FUNCTIONS)
            if FREE:
                functions.append((_turn, "turns", announcing))
            self._found = [
                (place, there, wrap)
                for module, name, wrap in functions
                for place, there in _where(module, name)
            ]
            self._found += PLACES
        return self._found


def _where(module: ModuleType, name: str) -> Iterator[tuple[ModuleType, str]]:
    """Yield the places where the library has a function, and its name there.

    Others may have wrapped it meanwhile, each place by a wrapper of its own.
    """
    wanted = original(module, name)
    for key, other in list(sys.modules.items()):
        if key == "atomos" or key.startswith("atomos."):
            for there in list(vars(other)):
                if original(other, there) is wanted:
                    yield other, there


_instruments = _Instruments()


@contextmanager
def instrumented() -> Iterator[None]:
    """Have all that is replaced in place."""
    try:
        _instruments.open()
        yield
    finally:
        _instruments.close()
