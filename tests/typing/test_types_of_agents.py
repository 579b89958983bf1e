"""What a type checker infers for agents, without a cast."""
# mypy: warn-unreachable

from __future__ import annotations

import operator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, assert_type

import pytest

from atomos import ARef
from atomos.agent import Agent, await_agents, current_agent, shutdown_agents
from atomos.errors import AgentNotFailedError

Counts = dict[str, int]


def put(counts: Counts, key: str, *, n: int) -> Counts:
    return {**counts, key: n}


def test_Agent() -> None:
    agent = Agent(1)
    assert_type(agent, Agent[int])
    assert_type(agent.deref(), int)
    assert_type(agent.send(operator.add, 1), Agent[int])
    assert_type(agent.send(lambda n: n + 1), Agent[int])
    assert_type(agent.send_off(lambda n, m: n + m, 5), Agent[int])
    assert_type(agent.error, BaseException | None)
    agent.wait(10.0)
    agent.wait(timeout=None)
    with pytest.raises(AgentNotFailedError):
        assert_type(agent.restart(2, clear=True), Agent[int])
    base: ARef[int] = agent
    base.add_watch("w", lambda key, ref, old, new: old < new)
    assert agent.deref() == 8


def test_Agent_of_a_dict() -> None:
    def handler(agent: Agent[Counts], error: BaseException) -> None:
        raise AssertionError

    with ThreadPoolExecutor(1) as pool:
        agent: Agent[Counts] = Agent(
            {},
            name="counts",
            validator=lambda counts: len(counts) < 9,
            meta="m",
            error_mode="continue",
            error_handler=handler,
            executor=pool,
        )
        assert_type(agent.send(put, "k", n=1), Agent[Counts])
    assert_type(agent.deref(), Counts)
    assert agent.deref() == {"k": 1}


def test_functions() -> None:
    one, other = Agent(1), Agent("a")
    await_agents(one, other, timeout=10)
    assert_type(current_agent(), Agent[Any] | None)
    shut_down = shutdown_agents
    if one.deref() > 1:
        shut_down(wait=False)


def test_what_send_refuses() -> None:
    agent = Agent(1, error_handler=lambda agent, error: None)
    agent.send(str)  # type: ignore[arg-type] # gives str
    agent.wait(10)
    agent.send(put, "k", n=1)  # type: ignore[arg-type] # takes a dict
    with pytest.raises(ValueError, match="error_mode"):
        Agent(1, error_mode="ignore")  # type: ignore[arg-type] # is no mode
