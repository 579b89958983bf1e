"""The actions of agents are run by threads of the run."""

from __future__ import annotations

import threading

import pytest
from helpers import PATIENCE

from atomos import Atom
from atomos.agent import Agent, await_agents
from atomos.errors import AgentFailedError, AgentTimeout
from atomos.testing import (
    DeadlockError,
    Schedule,
    explore,
    now,
    run_interleaved,
    sleep,
)


def test_what_was_sent_has_run_at_the_end():
    agent = Agent(0, name="log")
    threads = []

    def action(state):
        threads.append(threading.current_thread().name)
        return state + 1

    def body():
        agent.send(action).send_off(action)
        return agent.deref()

    run = run_interleaved(Schedule(), body, body)
    assert run.results == (0, 0)
    assert agent.deref() == 4
    assert {name.split()[1] for name in threads} == {"send", "send_off"}
    assert {"send", "perform"} <= {step.operation for step in run.steps}


def test_waiting_for_agents():
    def body(agent):
        agent.send(lambda n: n + 1)
        await_agents(agent)
        return agent.deref()

    def both_have_run(agent, run):
        assert sorted(run.results) in ([1, 2], [2, 2])
        assert agent.deref() == 2

    done = explore(
        body, body, setup=lambda: Agent(0), check=both_have_run, preemptions=1
    )
    assert done.complete


def test_orders_of_actions_are_explored():
    found = set()

    def setup():
        return Agent(0), Agent(0), []

    def sends(state):
        one, other, order = state
        one.send(lambda _: order.append("one"))
        other.send(lambda _: order.append("other"))

    def note(state, run):
        found.add(tuple(state[2]))

    explore(sends, setup=setup, check=note)
    assert found == {("one", "other"), ("other", "one")}


def test_actions_that_send_and_sleep():
    agent, log = Agent(0), Atom(())

    def action(state):
        sleep(10)
        log.swap(lambda seen: (*seen, now()))
        if state < 2:
            agent.send(action)
        return state + 1

    run = run_interleaved(Schedule(), lambda: agent.send(action) and None)
    assert log.deref() == (10.0, 20.0, 30.0)
    assert run.seconds == 30.0


def test_a_wait_that_takes_too_long():
    agent = Agent(0)

    def body():
        agent.send_off(lambda n: sleep(100))
        with pytest.raises(AgentTimeout):
            agent.wait(timeout=50)

    assert run_interleaved(Schedule(), body).seconds == 100.0


def test_an_action_that_fails():
    agent = Agent(0, error_handler=lambda agent, error: None)

    def body():
        agent.send(lambda n: n / 0)
        with pytest.raises(AgentFailedError):
            agent.wait()

    run_interleaved(Schedule(), body)
    assert isinstance(agent.error, ZeroDivisionError)


def test_agents_go_on_after_a_run_that_was_ended(caplog):
    """What had begun is lost; the others are run when the agent is used again."""
    agent, idle, never = Agent(0, name="agent"), Agent(0), Atom(False)

    def body():
        agent.send_off(lambda n: never.wait_for(bool))
        agent.send_off(lambda n: n + 1)
        agent.wait()

    def late():
        never.wait_for(bool)

    with pytest.raises(DeadlockError, match="waits for the actions of agents"):
        run_interleaved(Schedule(), body, late)
    assert caplog.records == []
    agent.send(lambda n: n + 10).wait(timeout=PATIENCE)
    assert agent.deref() in (10, 11)
    idle.send(lambda n: n + 1).wait(timeout=PATIENCE)
