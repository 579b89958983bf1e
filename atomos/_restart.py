"""Having a failed agent go on.

While its `_failure` is set no action is begun, so nobody else writes the state. One
thread at a time restarts, the one whose claim is in `_repair`; the state is written
first and `_failure` cleared last, together with the claim.

Those who wait are not told here: what they wait for will be run, or is dropped, of
which `_withdraw` tells them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from atomos._extras import guard
from atomos._pools import pools
from atomos.errors import AgentNotFailedError, TransactionStateError
from atomos.stm._handle import current_transaction
from atomos.stm._solo import exchange

if TYPE_CHECKING:
    from atomos._serial import Serial

__all__ = ["restart"]

T = TypeVar("T")


def restart(agent: Serial[T], state: T, clear: bool) -> None:
    """Do what `Agent.restart` says."""
    if current_transaction() is not None:
        msg = (
            f"{agent._label()}.restart() was called inside a transaction, which could "
            "not take it back: call it outside"
        )
        raise TransactionStateError(msg)
    if agent._era != pools.era:
        agent._renew()
    claim = object()
    try:
        with guard.lock:
            failure = agent._failure
            if failure is not None and agent._repair is None:
                agent._repair = claim
        if failure is None or agent._repair is not claim:
            msg = (
                f"{agent._label()} has not failed, or another thread restarts it: "
                "restart it only while its `error` is set"
            )
            raise AgentNotFailedError(msg)
        exchange(agent, state)
        if clear:
            for action in agent._actions.copy():
                agent._withdraw(action, agent._failed(failure))
        with guard.lock:  # `failure` is kept by us, not dropped under the lock
            agent._failure = agent._repair = None
    finally:
        if agent._repair is claim:
            agent._repair = None
    agent._schedule()
