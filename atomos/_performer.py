"""References whose state an action may change, and what becomes of its errors.

An action is a function of the state. It runs once, outside of every lock and of
every transaction. What it returns is committed as a `swap` would commit it; nobody
else writes the reference meanwhile. Then what it has sent, which was held until
now, is sent. If it raises, or the validator refuses what it returns, nothing is
written, and what it has sent is dropped.

What raises after the commit, for instance a watch that raises `SystemExit`, takes
nothing back. Whether the action has committed is told by the reference itself: it
has another version then, since nobody else writes it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, TypeVar

from atomos._action import Performance, performing
from atomos._pools import pools
from atomos.errors import AgentFailedError
from atomos.reference import ARef
from atomos.stm._arguments import shown
from atomos.stm._solo import exchange

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from atomos._action import Action

__all__ = ["Performer"]

T = TypeVar("T")

_logger = logging.getLogger("atomos")


class Performer(ARef[T]):
    """A reference that performs actions, and may fail.

    Attributes:
        _failure: What the action raised that made it fail; no action is begun
            while it is set. Set by who runs actions, cleared by `restart`.
        _fails: Whether an error of an action makes it fail. Never changes.
        _error_handler: Called with each error of an action. Never changes.
    """

    __slots__ = ("_error_handler", "_fails", "_failure")

    _failure: BaseException | None
    _fails: bool
    _error_handler: Callable[[Any, BaseException], object] | None

    def _perform(self, action: Action) -> None:
        """Run `action`, unless somebody has taken it back.

        Raises:
            BaseException: What the action raised, if it is no `Exception`: that is
                an error of the action, and for the executor, too.
        """
        performance = Performance(self)
        before = performing.now
        version, era = self._newest, pools.era
        raised: BaseException | None = None
        try:
            if action.begin():
                performing.now = performance
                value = action.fn(version.value, *action.args, **action.kwargs)
                if era == pools.era:  # not in the child of a fork
                    exchange(self, value)
        except BaseException as error:
            raised = error
        performing.now = before
        committed = self._newest is not version
        try:
            if committed:
                performance.release()
            if raised is not None:
                self._report(raised, committed)
                if not isinstance(raised, Exception):
                    raise raised
        except BaseException:
            if committed:
                performance.release()  # what is left, if it was cut short
            raise
        finally:
            del raised  # its traceback leads back here

    def _report(self, error: BaseException, committed: bool) -> None:
        """Fail, if need be, and tell the handler or the log."""
        if committed:
            _logger.error(
                "what followed an action of %s raised; the action has committed",
                self._label(),
                exc_info=error,
            )
            return
        if self._fails:
            self._failure = error
        if self._error_handler is None:
            _logger.error("an action of %s raised", self._label(), exc_info=error)
            return
        try:
            self._error_handler(self, error)
        except Exception:
            _logger.exception("the error_handler of %s raised", self._label())

    def _failed(self, failure: BaseException) -> AgentFailedError:
        """Return the error that says that it has failed."""
        msg = (
            f"{self._label()} has failed: an action raised {shown(failure)}; look at "
            "`error`, and call `restart` to have it go on"
        )
        error = AgentFailedError(msg)
        error.__cause__ = failure
        return error

    def _refuse_if_failed(self) -> None:
        failure = self._failure
        if failure is not None:
            raise self._failed(failure)
