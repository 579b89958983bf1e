"""References that are changed by actions: one at a time, in the order sent.

The queue is a deque that anyone may append to. The action at its head is run by
the *worker*. To become the worker, and to begin an action, are single stores under a
lock; no lock is held while an action runs.

A *kick* is a job in a pool, which becomes the worker. Kicks are hints: one that
finds a worker, or nothing to do, ends. So it does no harm to submit one
too many, which is what everybody does who cannot be sure that one is under way.
To send is to append, and then to look for a worker or a kick that has not begun.
The worker lets go first and looks at the queue afterwards; a kick is marked as begun
first, and then looks. So no action stays behind.

The worker runs actions for a slice of time, and then submits the next kick. That puts
its reference behind all others that wait for a thread, so none of them waits for
long because another one has much to do. A slice costs one submission; short
actions share it.

Where the pool takes no kick, since it is shut down or the interpreter exits, the
worker goes on by itself until the queue is empty, and takes nothing new meanwhile.
So what was queued is run, and a reference whose actions send to it again and again
comes to an end.

An asynchronous exception (Ctrl-C, `PyThreadState_SetAsyncExc`) may strike anywhere.
An action that was appended is begun once, whatever happens to who has sent it or to
the worker; if nobody was told to run it, whoever uses the reference next does that.
"""

from __future__ import annotations

from _thread import get_ident
from collections import deque
from concurrent.futures import Executor, Future
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Final, TypeVar

from atomos._extras import guard
from atomos._performer import Performer
from atomos._pools import Kick, pools
from atomos.errors import AgentShutdownError
from atomos.stm._arguments import shown

if TYPE_CHECKING:
    from atomos._action import Action, Waiter

__all__ = ["Serial"]

T = TypeVar("T")

#: Seconds after which a worker lets others have its thread.
SLICE: Final = 0.005


class Serial(Performer[T]):
    """Base of `Agent`: the queue, and who runs what is in it.

    Attributes:
        _actions: The queue. Anyone appends; an action leaves it when it is done.
            Replaced in the child of a fork only.
        _worker: The kick that runs actions; None while none does. Set under the
            lock of `guard`, cleared by its own thread.
        _kick: The kick submitted last, as far as known: a hint.
        _repair: The claim of who restarts it. Set under that lock.
        _refused: No pool takes kicks, and the worker empties the queue. Written
            by the worker only.
        _executor: The user's own pool, if any. Never changes.
        _era: `pools.era` when the fields above were made.
    """

    __slots__ = (
        "_actions",
        "_era",
        "_executor",
        "_kick",
        "_refused",
        "_repair",
        "_worker",
    )

    def _set_up(self, executor: Executor | None) -> None:
        """Begin idle."""
        self._actions: deque[Action] = deque()
        self._worker: Kick | None = None
        self._kick: Kick | None = None
        self._failure = None
        self._repair: object = None
        self._refused = False
        self._executor = executor
        self._era = pools.era

    def _renew(self) -> None:
        """After a fork: what was queued or running is run by the parent."""
        fresh: deque[Action] = deque()
        era = pools.era
        before = self._actions, self._worker, self._kick  # not dropped under the lock
        with guard.lock:
            if self._era != era:
                self._actions = fresh
                self._worker = self._kick = self._repair = None
                self._refused = False
                self._era = era
        del before

    # Sending

    def _refuse_if_shut_down(self) -> None:
        if self._refused or (self._executor is None and pools.closed):
            raise AgentShutdownError(self._shut_down())

    def _shut_down(self) -> str:
        whose = "the pool of agents" if self._executor is None else "its executor"
        return (
            f"{self._label()} takes no action: {whose} is shut down; send before "
            "shutdown_agents(), before the executor's shutdown, and before the program "
            "ends"
        )

    def _post(self, action: Action) -> None:
        """Append `action`, and have it run. Done twice, it is still run once.

        Raises:
            AgentShutdownError: Nobody would run it.
        """
        if self._era != pools.era:
            self._renew()
        self._refuse_if_shut_down()
        try:
            self._actions.append(action)
            self._schedule()
        except AgentShutdownError as error:
            if self._withdraw(action, error):
                raise
        except BaseException:
            self._schedule()
            raise

    def _withdraw(self, action: Action, error: Exception) -> bool:
        """Take `action` back, if it has not begun; tell those who wait for it."""
        if not action.begin():
            return False
        for waiter in action.waiting():
            waiter.tell(error)
        self._finish(action)
        return True

    def _schedule(self) -> None:
        """See to it that somebody runs what is in the queue, if anything is.

        Raises:
            AgentShutdownError: The pool takes nothing any more.
        """
        # Also a fence between what the caller has stored and what is read now.
        with guard.lock:
            worker = self._worker
            kick = self._kick
        if worker is not None or self._failure is not None or self._era != pools.era:
            return
        if kick is not None and not kick.begun:
            return
        try:
            kick = Kick(self._actions[0].off)
        except IndexError:
            return
        try:
            self._submit(kick)
        except Exception as error:
            msg = f"{self._shut_down()} ({shown(error)})"
            raise AgentShutdownError(msg) from error
        self._kick = kick

    def _submit(self, kick: Kick) -> None:
        submit = pools.submit if self._executor is None else self._executor.submit
        future = submit(self._work, kick)
        if isinstance(future, Future):
            future.add_done_callback(partial(self._hear_of, kick))

    def _hear_of(self, kick: Kick, future: Future[None]) -> None:
        """See to it that nothing is left behind: the job is over, or was cancelled."""
        kick.begun = True
        if not future.cancelled():
            if future.exception() is not None:
                self._schedule()  # it may have been cut short
            return
        # Called by the `shutdown` of the executor, which still has its lock.
        for waiter in self._waiting():
            waiter.tell(AgentShutdownError(self._shut_down()))

    def _waiting(self) -> list[Waiter]:
        """Return all who wait for what is in the queue."""
        return [one for action in self._actions.copy() for one in action.waiting()]

    # Working

    def _work(self, kick: Kick) -> None:
        """Run actions for a slice: the job of a kick."""
        kick.begun = True
        raised: BaseException | None = None
        kind: bool | None = kick.off
        while True:
            try:
                self._slice(kick, kind)
            except BaseException as error:
                raised = error
            try:
                self._hand_on()
                break
            except AgentShutdownError:
                kind = None
            except BaseException as error:
                raised = error
        if raised is not None:
            try:
                raise raised
            finally:
                del raised  # it leads back here

    def _hand_on(self) -> None:
        """After a slice: have what is left run, or tell why it is not.

        Raises:
            AgentShutdownError: The pool takes nothing any more.
        """
        self._schedule()
        failure = self._failure
        if failure is not None:
            waiting = self._waiting()
            # If it was restarted meanwhile, what they wait for has yet to be run.
            if self._failure is failure:
                self._tell(waiting, failure)

    def _tell(self, waiting: list[Waiter], failure: BaseException | None) -> None:
        """Let waiters go on, with an error if it has failed."""
        for waiter in waiting:
            waiter.tell(None if failure is None else self._failed(failure))

    def _slice(self, kick: Kick, kind: bool | None) -> None:
        """Be the worker for a while, if there is none.

        Args:
            kick: Whose slice it is.
            kind: Run only actions with this `off`; None for any, and for as long
                as there are some.
        """
        mine = False
        try:
            kick.ident = get_ident()
            with guard.lock:
                if self._worker is None:
                    self._worker = kick
                    mine = True
            if not mine:
                return
            self._refused = kind is None
            end = monotonic() + SLICE
            while (action := self._next(kick, kind)) is not None:
                # No `try` here: on 3.11 the first instruction of a loop that begins
                # with one is covered by no `finally`, also not by the one below.
                self._run(action)
                if kind is not None and monotonic() >= end:
                    break
        finally:
            if mine and self._worker is kick:
                self._refused = False
                self._worker = None

    def _next(self, kick: Kick, kind: bool | None) -> Action | None:
        """Return the action to run; None if there is none for this worker."""
        while (
            self._worker is kick
            and self._era == pools.era  # not in the child of a fork
            and self._failure is None
        ):
            try:
                action = self._actions[0]
            except IndexError:
                break
            if not action.begun:
                return action if kind is None or action.off is kind else None
            self._finish(action)  # its worker was cut short, or it stood here twice
        return None

    def _run(self, action: Action) -> None:
        try:
            self._perform(action)
        finally:
            self._finish(action)

    def _finish(self, action: Action) -> None:
        """Let go of `action`, which is over."""
        action.done = True
        try:
            self._actions.remove(action)  # at the head, in most cases
        except ValueError:
            pass
        # They are found first: those who come after a restart are not told.
        waiting = action.waiting()
        self._tell(waiting, self._failure)
