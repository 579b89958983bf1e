"""Hypothesis compares agents with a model, and threads hammer on them."""

from __future__ import annotations

import gc
import threading
import tracemalloc
import weakref
from collections import deque
from time import monotonic

import pytest
from agents import Manual, add, append
from helpers import PATIENCE, run_threads, until
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
)

from atomos import Atom, Ref, atomically
from atomos.agent import Agent, await_agents
from atomos.errors import AgentFailedError, AgentNotFailedError, AgentTimeout

SETTINGS = settings(
    max_examples=150,
    stateful_step_count=40,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


class Refused(Exception):
    pass


class Model:
    """One agent: its state, its queue, whether it has failed."""

    def __init__(self, fails):
        self.fails = fails
        self.state = ()
        self.queue = deque()
        self.failed = False

    def run(self, models):
        """Run what is in the queue, until it fails."""
        while self.queue and not self.failed:
            kind, value, other = self.queue.popleft()
            sends_to_failed = kind != "append" and models[other].failed
            if kind == "raise" or value < 0 or sends_to_failed:
                self.failed = self.fails
                continue
            self.state = (*self.state, value)
            if kind == "pass on":
                models[other].queue.append(("append", value, other))


INDEX = st.integers(0, 2)
VALUES = st.integers(-1, 5)


class AgentMachine(RuleBasedStateMachine):
    """Three agents, of which two fail; jobs are run when the model runs them."""

    def __init__(self):
        super().__init__()
        self.pools = [Manual() for _ in range(3)]
        self.agents = [
            Agent(
                (),
                error_mode="fail" if n < 2 else "continue",
                error_handler=lambda agent, error: None,
                validator=lambda state: min(state, default=0) >= 0,
                executor=pool,
            )
            for n, pool in enumerate(self.pools)
        ]
        self.models = [Model(n < 2) for n in range(3)]

    def act(self, kind, value, other):
        def action(state):
            if kind != "append":
                self.agents[other].send(append, value)
            if kind == "raise":
                raise Refused  # and what it has sent is dropped
            return (*state, value)

        return action

    @rule(
        n=INDEX,
        kind=st.sampled_from(["append", "pass on", "raise"]),
        value=VALUES,
        other=INDEX,
        off=st.booleans(),
    )
    def send(self, n, kind, value, other, off):
        agent, model = self.agents[n], self.models[n]
        call = agent.send_off if off else agent.send
        if model.failed:
            with pytest.raises(AgentFailedError):
                call(self.act(kind, value, other))
        else:
            call(self.act(kind, value, other))
            model.queue.append((kind, value, other))

    @rule(n=INDEX)
    def work(self, n):
        """Only this agent; what it sends to others stays in their queues."""
        self.models[n].run(self.models)
        self.pools[n].run_all()

    @rule(n=INDEX, value=st.integers(0, 5), clear=st.booleans())
    def restart(self, n, value, clear):
        agent, model = self.agents[n], self.models[n]
        if not model.failed:
            with pytest.raises(AgentNotFailedError):
                agent.restart((value,), clear=clear)
            return
        agent.restart((value,), clear=clear)
        model.failed = False
        model.state = (value,)
        if clear:
            model.queue.clear()

    @precondition(lambda self: any(model.failed for model in self.models))
    @rule(n=INDEX)
    def a_refused_restart(self, n):
        if self.models[n].failed:
            with pytest.raises(ValueError, match="refused"):
                self.agents[n].restart((-1,))

    @rule(n=INDEX)
    def wait(self, n):
        agent, model = self.agents[n], self.models[n]
        if model.failed:
            with pytest.raises(AgentFailedError):
                agent.wait(0)
        elif model.queue:
            with pytest.raises(AgentTimeout):
                agent.wait(0)
        else:
            agent.wait(0)

    @invariant()
    def agrees(self):
        for agent, model in zip(self.agents, self.models, strict=True):
            assert agent.deref() == model.state
            assert (agent.error is not None) == model.failed
            assert len(agent._actions) == len(model.queue)


AgentMachine.TestCase.settings = SETTINGS
test_agents_against_a_model = AgentMachine.TestCase


def test_threads_hammer(often):
    """Each send is run once, whoever sends, and in the order of each sender."""
    agents = [Agent(((), 0)) for _ in range(4)]
    sends = 400

    def note(state, sender, n):
        last, count = dict(state[0]), state[1]
        assert last.get(sender, -1) < n
        last[sender] = n
        return tuple(last.items()), count + 1

    def sender():
        me = threading.get_ident()
        for n in range(sends):
            agent = agents[n % 4]
            (agent.send if n % 3 else agent.send_off)(note, me, n)

    run_threads(*[sender] * 6)
    await_agents(*agents, timeout=PATIENCE)
    assert [agent.error for agent in agents] == [None] * 4
    assert sum(agent.deref()[1] for agent in agents) == 6 * sends


def test_a_wait_begins_while_actions_come_and_go():
    """The queue is looked at while the worker shortens it, without the GIL."""
    agent = Agent(0)
    for round in range(1, 601):
        for _ in range(50):
            agent.send(add)
        agent.wait(PATIENCE)
        assert agent.deref() == round * 50


def test_actions_and_transactions_share_cells(often):
    """Money goes round between agents, refs and an atom; a reader sees all of it."""
    agents, ref, atom = [Agent(0) for _ in range(3)], Ref(0), Atom(0)
    stop = threading.Event()

    def act(n):
        atomically(lambda: (ref.alter(add), atom.swap(add, -1)))
        return n + 1

    def check():
        while not stop.is_set():
            assert atomically(lambda: ref.deref() + atom.deref()) == 0

    def send():
        try:
            for _ in range(100):
                for agent in agents:
                    agent.send(act)
            await_agents(*agents, timeout=PATIENCE)
        finally:
            stop.set()

    run_threads(send, check)
    assert {agent.deref() for agent in agents} == {100}
    assert ref.deref() == 300


def test_a_hundred_thousand_sends_take_seconds():
    agent, begin = Agent(0), monotonic()
    for _ in range(100_000):
        agent.send(add)
    agent.wait(PATIENCE)
    assert agent.deref() == 100_000
    assert monotonic() - begin < PATIENCE / 2


def test_many_sends_leave_nothing():
    agent = Agent(0)
    for _ in range(1000):
        agent.send(add)
    agent.wait(PATIENCE)
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(20):
            for _ in range(5_000):
                agent.send(add)
            agent.wait(PATIENCE)
        gc.collect()
        after = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert agent.deref() == 101_000
    # What an action leaves is there 100,000 times. A thread of the pool that begins now
    # takes up to 36,000 bytes without the GIL, and goes at the end.
    assert after - before < 1_000_000
    assert not agent._actions


def test_errors_of_an_agent_that_continues_are_not_kept():
    """Not even until the garbage collector comes."""
    errors = []

    def handler(agent, error):
        errors.append(weakref.ref(error))

    def fail(n):
        raise Refused

    agent = Agent(0, error_mode="continue", error_handler=handler)
    gc.disable()
    try:
        for _ in range(100):
            agent.send(fail)
        agent.wait(PATIENCE)
        until(lambda: not any(error() for error in errors))
    finally:
        gc.enable()
    assert len(errors) == 100
