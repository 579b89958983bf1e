"""Waiting for agents.

Who waits registers with the last action in the queue, and sleeps until that is over
or will not be run. Nobody looks again and again.
"""

from __future__ import annotations

from _thread import get_ident
from time import monotonic
from typing import TYPE_CHECKING, Any

from atomos._action import Waiter, performing
from atomos._pools import pools
from atomos._serial import Serial
from atomos.errors import AgentTimeout, WouldDeadlockError
from atomos.stm._arguments import shown
from atomos.stm._gate import pass_gate
from atomos.stm._handle import current_transaction
from atomos.stm._run import is_seconds

if TYPE_CHECKING:
    from collections import deque

    from atomos._action import Action

__all__ = ["await_agents", "refuse_inside"]


def await_agents(*agents: Serial[Any], timeout: float | None = None) -> None:
    """Wait until all actions sent to these agents so far have run.

    That is: sent by any thread, and not held any more. What the actions
    themselves have sent has been handed over by then, but need not have run.

    Args:
        *agents: Whom to wait for.
        timeout: Seconds to wait at most, for all of them; None for no limit.

    Raises:
        AgentFailedError: One of them has failed, or fails while we wait.
        AgentShutdownError: There is no pool any more that would run the actions.
        AgentTimeout: The timeout passed first.
        TypeError: One of them is no agent.
        WouldDeadlockError: Called inside an action or a transaction, whose own
            actions would be waited for, or in the error_handler of one of them.
        ValueError: `timeout` is no number of seconds.

    Cost: O(agents), and a sleep.

    Source: clojure.core/await and clojure.core/await-for

    Example:
        >>> from atomos.agent import Agent, await_agents
        >>> agents = [Agent(n) for n in range(3)]
        >>> for agent in agents:
        ...     _ = agent.send(lambda n: n * n)
        >>> await_agents(*agents, timeout=10.0)
        >>> [agent.deref() for agent in agents]
        [0, 1, 4]
    """
    if timeout is not None and not is_seconds(timeout):
        msg = f"timeout must be a number of seconds or None, not {shown(timeout)}"
        raise ValueError(msg)
    for agent in agents:
        if not isinstance(agent, Serial):
            kind = type(agent).__name__
            msg = f"await_agents needs agents, not {kind} {shown(agent)}"
            raise TypeError(msg)
    end = None if timeout is None else monotonic() + timeout
    refuse_inside("await_agents")
    expected: list[tuple[Serial[Any], Action, Waiter]] = []
    try:
        for agent in agents:
            _expect(agent, expected)
        for agent, _, waiter in expected:
            if not _met(waiter, end):
                msg = (
                    f"{agent._label()} did not run all of its actions within {timeout} "
                    "seconds: raise the timeout, or make the actions shorter"
                )
                raise AgentTimeout(msg)
    finally:
        for _, action, waiter in expected:
            action.remove(waiter)


def refuse_inside(call: str) -> None:
    """Raise where to wait for agents would be to wait for oneself.

    Raises:
        WouldDeadlockError: The caller is inside an action or a transaction.
    """
    if performing.now is not None:
        where, what = "an action", "ends"
    elif current_transaction() is not None:
        where, what = "a transaction", "commits"
    else:
        return
    msg = (
        f"{call} was called inside {where}: what is sent there is held until it "
        f"{what}, so waiting might never end; wait outside"
    )
    raise WouldDeadlockError(msg)


def _expect(
    agent: Serial[Any], expected: list[tuple[Serial[Any], Action, Waiter]]
) -> None:
    """Register with the last action sent to `agent`, if there is any.

    The queue is run in order, so all before it have run when it has.
    """
    if agent._era != pools.era:
        agent._renew()
    agent._refuse_if_failed()
    worker = agent._worker
    if worker is not None and worker.ident == get_ident():
        msg = (
            f"{agent._label()} was waited for in its own error_handler, before which "
            "it runs nothing more: wait elsewhere"
        )
        raise WouldDeadlockError(msg)
    agent._schedule()  # a send that was cut short may not have done it
    last = _last(agent._actions)
    if last is None:
        agent._refuse_if_failed()  # the last one may just have made it fail
        return
    waiter = Waiter()
    expected.append((agent, last, waiter))
    last.add(waiter)
    # If it has failed before that, nobody might tell us.
    agent._refuse_if_failed()


def _last(actions: deque[Action]) -> Action | None:
    """Return the action at the end of the queue, None if it is empty.

    Without the GIL `actions[-1]` asks for the length first, and fails if the queue
    has become shorter until then.
    """
    while actions:
        try:
            return actions[-1]
        except IndexError:
            pass
    return None


def _met(waiter: Waiter, end: float | None) -> bool:
    """Sleep until `waiter` is told to go on, or until `end`.

    Returns:
        False if it was not told.

    Raises:
        AgentFailedError: What it was told.
        AgentShutdownError: What it was told.
    """
    seconds = None if end is None else max(0.0, end - monotonic())
    if not pass_gate(waiter.gate, seconds):
        return False
    if waiter.error is not None:
        raise waiter.error
    return True
