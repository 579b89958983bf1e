"""Agents: values that change by actions in other threads, after Clojure's agents.

An agent runs its actions one at a time, in the order in which they were sent, while
the sender goes on. An action is a function of the state: what it returns is the new
one. It runs once, outside of every transaction, so it may have effects, and it may
run transactions of its own.

What is sent inside a transaction is held until that commits: an attempt that runs
again has sent nothing. What is sent inside an action is held until that has ended,
and dropped if it fails.

Example:
    >>> from atomos.agent import Agent
    >>> log = Agent(())
    >>> log.send(lambda lines: (*lines, "begun")).wait()
    >>> log
    Agent(('begun',))
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar

from atomos._action import Action, performing
from atomos._pools import pools
from atomos._restart import restart
from atomos._serial import Serial
from atomos._waiting import await_agents, refuse_inside
from atomos.stm import _solo
from atomos.stm._arguments import shown
from atomos.stm._fitness import refuse_uncallable
from atomos.stm._handle import current_transaction

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor
    from typing import Concatenate, Literal

__all__ = ["Agent", "await_agents", "current_agent", "shutdown_agents"]

T = TypeVar("T")
P = ParamSpec("P")


class Agent(Serial[T]):
    """A value that changes by actions, run one at a time in other threads.

    A transaction reads it together with Refs and Atoms. Watches, validator and
    metadata are those of a Ref; watches are called in the thread of the action.

    Raises:
        TypeError: `validator` or `error_handler` is not callable, `name` is no str, or
            `executor` has no `submit`.
        ValueError: `error_mode` is neither of the two.
        ValidationError: `validator` refuses `state`.

    Cost: to make one, O(1) and about 1,000 bytes without the state (CPython 3.11), most
    of them for its queue; a thread is used only while there are actions.

    Source: the agent of Clojure

    Example:
        >>> from atomos.agent import Agent
        >>> counter = Agent(0)
        >>> counter.send(lambda n: n + 1).send(lambda n, m: n + m, 5).wait()
        >>> counter.deref()
        6
    """

    __slots__ = ()

    def __init__(
        self,
        state: T,
        *,
        name: str | None = None,
        validator: Callable[[T], object] | None = None,
        meta: Any = None,
        error_mode: Literal["fail", "continue"] = "fail",
        error_handler: Callable[[Agent[T], BaseException], object] | None = None,
        executor: Executor | None = None,
    ) -> None:
        """Start with `state`.

        Args:
            state: Any object; treat it as immutable.
            name: What `repr` and errors call it.
            validator: Called with each state before it is committed; a false
                answer or an exception is an error of the action.
            meta: Metadata, any object.
            error_mode: With ``"fail"`` the agent keeps what an action raised in
                `error`, and begins no more until `restart`. With ``"continue"`` it
                goes on, with the state as it was.
            error_handler: Called as ``error_handler(agent, exception)`` in both
                modes, before the next action. It may call `restart`. Without
                one, errors go to the logger `atomos`.
            executor: A pool of threads for `send` and `send_off` of this agent.
                It stays yours to shut down.
        """
        if error_mode not in ("fail", "continue"):
            msg = f"error_mode must be 'fail' or 'continue', not {shown(error_mode)}"
            raise ValueError(msg)
        if error_handler is not None:
            refuse_uncallable(error_handler, "error_handler")
        if executor is not None and not callable(getattr(executor, "submit", None)):
            msg = f"executor must have a method submit, but {shown(executor)} has none"
            raise TypeError(msg)
        self._set_up(executor)
        self._fails = error_mode == "fail"
        self._error_handler = error_handler
        super().__init__(state, name=name, validator=validator, meta=meta)

    def deref(self) -> T:
        """Return the state: as of the transaction inside one, else the latest.

        Cost: O(1), no lock.

        Source: clojure.core/deref

        Example:
            >>> from atomos.agent import Agent
            >>> Agent(7).deref()
            7
        """
        return _solo.read(self)

    def send(
        self, fn: Callable[Concatenate[T, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> Self:
        """Have the state become ``fn(state, *args, **kwargs)``, soon.

        It runs in a pool that all agents share, with two threads more than there
        are processors, so it should compute and not wait: see `send_off`. Not for
        finalizers and signal handlers, since the pool has locks.

        What it raises is an error of the action, also `SystemExit` and
        `KeyboardInterrupt`. These are handed to the executor, too; the shared
        pools ignore them, so an action does not end the program.

        Args:
            fn: Called once, outside of every lock and every transaction.
            *args: Passed to `fn` after the state.
            **kwargs: Passed to `fn`.

        Returns:
            The agent.

        Raises:
            TypeError: `fn` is not callable.
            AgentFailedError: The agent has failed; see `restart`.
            AgentShutdownError: There is no pool any more that would run it.

        Cost: O(1), no waiting; a hand-over to another thread if the agent is idle.

        Source: clojure.core/send

        Example:
            >>> from atomos.agent import Agent
            >>> Agent(7).send(max, 9).wait()
        """
        refuse_uncallable(fn, "send")
        self._send(Action(fn, args, kwargs, off=False))
        return self

    def send_off(
        self, fn: Callable[Concatenate[T, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> Self:
        """Do as `send`, for actions that wait: for files, networks, other threads.

        Its pool gets a new thread when none is idle, up to 10,000, and keeps them.

        Raises:
            TypeError: `fn` is not callable.
            AgentFailedError: The agent has failed; see `restart`.
            AgentShutdownError: There is no pool any more that would run it.

        Cost: as `send`.

        Source: clojure.core/send-off

        Example:
            >>> from atomos.agent import Agent
            >>> Agent(7).send_off(max, 9).wait()
        """
        refuse_uncallable(fn, "send_off")
        self._send(Action(fn, args, kwargs, off=self._executor is None))
        return self

    def _send(self, action: Action) -> None:
        self._refuse_if_failed()
        tx = current_transaction()
        if tx is not None:
            self._refuse_if_shut_down()
            tx.after_commit(partial(self._dispatch, action))
        else:
            self._dispatch(action)

    def _dispatch(self, action: Action) -> None:
        """Hold `action` until the action of this thread ends, if one runs."""
        performance = performing.now
        if performance is None:
            self._post(action)
        else:
            performance.hold(partial(self._post, action))

    def wait(self, timeout: float | None = None) -> None:
        """Wait until all actions sent to this agent so far have run.

        Args:
            timeout: Seconds to wait at most; None for no limit.

        Raises:
            AgentFailedError: It has failed, or fails while we wait.
            AgentShutdownError: There is no pool any more that would run them.
            AgentTimeout: The timeout passed first.
            WouldDeadlockError: Called where `await_agents` raises it.
            ValueError: `timeout` is no number of seconds.

        Cost: O(1), and a sleep.

        Source: clojure.core/await and clojure.core/await-for

        Example:
            >>> from atomos.agent import Agent
            >>> Agent(7).wait(timeout=1.0)
        """
        await_agents(self, timeout=timeout)

    @property
    def error(self) -> BaseException | None:
        """What the action raised that made the agent fail; None if it has not.

        Cost: O(1).

        Source: clojure.core/agent-error

        Example:
            >>> from atomos.agent import Agent
            >>> print(Agent(7).error)
            None
        """
        return self._failure

    def restart(self, state: T, *, clear: bool = False) -> Self:
        """Have a failed agent go on with `state` and its queue; return the agent.

        Args:
            state: The new state; watches hear of it.
            clear: Drop the queue instead of running it.

        Raises:
            AgentNotFailedError: It has not failed, or another thread restarts it.
            ValidationError: The validator refuses `state`; it stays failed.
            AgentShutdownError: There is no pool any more that would run its queue.
            TransactionStateError: Called inside a transaction.

        Cost: one commit; O(queue) to drop it.

        Source: clojure.core/restart-agent

        Example:
            >>> import logging
            >>> from atomos.agent import Agent
            >>> agent = Agent(1, error_handler=lambda agent, error: None)
            >>> agent.send(lambda n: n / 0).wait()
            Traceback (most recent call last):
                ...
            atomos.errors.AgentFailedError: ...
            >>> agent.restart(2).send(lambda n: n + 1).wait()
            >>> agent.deref()
            3
        """
        restart(self, state, clear)
        return self


def current_agent() -> Agent[Any] | None:
    """Return the agent whose action the caller is inside of, None outside.

    Cost: O(1).

    Source: clojure.core/*agent*

    Example:
        >>> from atomos.agent import Agent, current_agent
        >>> agent = Agent(None)
        >>> agent.send(lambda _: current_agent() is agent).wait()
        >>> agent.deref(), current_agent()
        (True, None)
    """
    performance = performing.now
    return None if performance is None else performance.agent


def shutdown_agents(wait: bool = True) -> None:
    """Let the shared pools end: what was sent is run, and nothing more is taken.

    From now on `send` raises `AgentShutdownError`, and what running actions send
    is dropped. Agents with an executor of their own go on.

    The same happens by itself at the end of the program, so it need not be called.

    Args:
        wait: Return when all has been run.

    Raises:
        WouldDeadlockError: It would wait inside an action or a transaction.

    Cost: none, or the time that the actions take.

    Source: clojure.core/shutdown-agents

    Example:
        >>> import subprocess, sys
        >>> program = '''
        ... from atomos.agent import Agent, shutdown_agents
        ... counter = Agent(0)
        ... counter.send(lambda n: n + 1)
        ... shutdown_agents()
        ... print(counter.deref())
        ... '''
        >>> command = [sys.executable, "-c", program]
        >>> print(subprocess.run(command, capture_output=True, text=True).stdout)
        1
        <BLANKLINE>
    """
    if wait:
        refuse_inside("shutdown_agents")
    pools.shutdown(wait)
