"""Asynchronous exceptions strike at each point; switches come at each opcode."""

from __future__ import annotations

from collections import deque
from threading import Event

import pytest
from agents import Manual, add, append
from helpers import PATIENCE
from interrupts import (
    interrupted_at_each_point,
    preempted_at_each_opcode,
    stopped_once,
    within,
)

from atomos._action import Action, Waiter, performing
from atomos._serial import Serial
from atomos._waiting import _expect, _last
from atomos.agent import Agent
from atomos.errors import (
    AgentFailedError,
    AgentNotFailedError,
    AgentShutdownError,
)


def ignore(agent, error):
    pass


def fail(n):
    raise ZeroDivisionError


def test_an_interrupted_send_is_sent_once_or_not_at_all():
    """Nobody has to send again to have it run."""
    made = {}

    def scenario(tracer):
        pool = Manual()
        agent = Agent((), executor=pool)
        agent.send(append, "before")
        made.update(agent=agent, pool=pool, returned=False)

        def run():
            agent.send(append, "it")
            made["returned"] = True

        return run

    def check():
        agent = made["agent"]
        made["pool"].run_all()
        assert agent.deref() in (("before",), ("before", "it"))
        if made["returned"]:
            assert agent.deref() == ("before", "it")
        agent.wait(0)

    assert interrupted_at_each_point(scenario, check) > 10


def test_an_interrupted_send_to_an_idle_agent():
    made = {}

    def scenario(tracer):
        pool = Manual()
        agent = made["agent"] = Agent((), executor=pool)
        made["pool"] = pool
        return lambda: agent.send(append, "it")

    def check():
        agent = made["agent"]
        made["pool"].run_all()
        assert agent.deref() in ((), ("it",))
        assert not agent._actions  # it waits for nobody
        agent.wait(0)

    assert interrupted_at_each_point(scenario, check) > 10


@pytest.mark.parametrize("mode", ["fail", "continue"])
def test_an_interrupted_worker_begins_each_action_once(mode):
    """And goes on with the next, and what committed has sent what it held."""
    made = {}

    def scenario(tracer):
        pool = Manual()
        agent = Agent((), error_mode=mode, error_handler=ignore, executor=pool)
        other = Agent((), executor=Manual())
        begun = []

        def act(state, n):
            begun.append(n)
            tracer.armed = True
            other.send(append, n)
            return (*state, n)

        for n in range(3):
            agent.send(act, n)
        made.update(agent=agent, other=other, pool=pool, begun=begun)

        def run():
            future, fn, args, _ = pool.jobs.pop(0)
            future.set_running_or_notify_cancel()
            try:
                fn(*args)
            except BaseException:
                tracer.armed = False
                future.set_exception(RuntimeError())  # as a pool does
                raise
            future.set_result(None)

        return run

    def check():
        agent, other, pool = made["agent"], made["other"], made["pool"]
        pool.run_all()
        assert performing.now is None
        if agent.error is not None:
            assert mode == "fail"
            with pytest.raises(AgentFailedError):
                agent.wait(0)
            agent.restart(agent.deref())
            pool.run_all()
        other._executor.run_all()
        agent.wait(0)
        begun = made["begun"]
        assert begun == sorted(set(begun))
        assert set(agent.deref()) <= set(begun)
        assert len(agent.deref()) >= 2
        assert other.deref() == agent.deref()

    assert interrupted_at_each_point(scenario, check) > 50


def test_an_interrupted_restart_has_restarted_or_can_be_done_again():
    made = {}

    def scenario(tracer):
        pool = Manual()
        agent = Agent(0, error_handler=ignore, executor=pool)
        agent.send(lambda n: 1 / 0).send(add)
        pool.run_all()
        made.update(agent=agent, pool=pool)
        return lambda: agent.restart(10)

    def check():
        agent = made["agent"]
        if agent.error is not None:
            agent.restart(10)
        with pytest.raises(AgentNotFailedError):
            agent.restart(20)
        agent.send(add)
        made["pool"].run_all()
        assert agent.deref() == 12

    assert interrupted_at_each_point(scenario, check) > 10


SENDING = within(Serial._post, Serial._schedule, Serial._submit)
WORKING = within(
    Serial._work, Serial._slice, Serial._next, Serial._finish, Serial._hand_on
)


def test_a_worker_comes_in_at_each_opcode_of_a_send():
    def scenario():
        pool = Manual()
        agent = Agent((), executor=pool)
        agent.send(append, 1)

        def check(_, __):
            pool.run_all()
            assert agent.deref() == (1, 2)
            agent.wait(0)

        return lambda: agent.send(append, 2), pool.run_all, check

    assert preempted_at_each_opcode(scenario, SENDING) > 20


def test_a_send_comes_in_at_each_opcode_of_the_worker():
    def scenario():
        pool = Manual()
        agent = Agent((), executor=pool)
        agent.send(append, 1)

        def check(_, __):
            pool.run_all()
            assert agent.deref() == (1, 2)
            agent.wait(0)

        return pool.run_one, lambda: agent.send(append, 2), check

    assert preempted_at_each_opcode(scenario, WORKING) > 20


def test_a_wait_comes_in_at_each_opcode_of_the_worker():
    def scenario():
        pool = Manual()
        agent = Agent(0, executor=pool)
        agent.send(add)

        def other():
            agent.wait(PATIENCE)
            return agent.deref()

        def check(_, seen):
            assert seen == 1

        return pool.run_all, other, check

    assert preempted_at_each_opcode(scenario, WORKING) > 20


def test_a_wait_comes_in_while_the_agent_fails():
    def scenario():
        pool = Manual()
        agent = Agent(0, error_handler=ignore, executor=pool)
        agent.send(lambda n: 1 / 0).send(add)

        def other():
            with pytest.raises(AgentFailedError):
                agent.wait(PATIENCE)

        return pool.run_all, other, lambda _, __: None

    when = within(Serial._report, Serial._hand_on, Serial._tell, Serial._finish)
    assert preempted_at_each_opcode(scenario, when) > 20


@pytest.mark.parametrize("actions", [[add], [fail], [fail, add]])
def test_a_worker_comes_in_while_somebody_begins_to_wait(actions):
    """Who registers too late to be told finds the action done, or the agent failed."""

    def scenario():
        pool, came_in = Manual(), Event()
        agent = Agent(0, error_handler=ignore, executor=pool)
        for action in actions:
            agent.send(action)

        def one():
            expected = []
            try:
                _expect(agent, expected)
            except AgentFailedError:
                return
            if came_in.is_set():
                if expected:
                    waiter = expected[0][2]
                    assert waiter.gate.acquire(timeout=PATIENCE)
                    assert (waiter.error is not None) == (fail in actions)
                else:
                    assert fail not in actions

        def other():
            came_in.set()
            pool.run_all()

        return one, other, lambda _, __: None

    when = within(_expect, Action.add, Serial._schedule)
    assert preempted_at_each_opcode(scenario, when) > 20


def test_a_wait_after_a_restart_is_not_told_of_the_failure_before():
    """Somebody restarts, and waits again, while the worker tells of the failure."""

    def scenario():
        pool = Manual()
        agent = Agent(0, error_handler=ignore, executor=pool)
        agent.send(lambda n: 1 / 0).send(add)

        def other():
            agent.restart(10)
            expected = []
            _expect(agent, expected)
            return expected[0][2] if expected else None

        def check(_, waiter):
            pool.run_all()
            assert agent.deref() == 11
            if waiter is not None:
                assert waiter.gate.acquire(timeout=0)
                assert waiter.error is None

        return pool.run_all, other, check

    when = within(
        Serial._tell, Serial._hand_on, Serial._waiting, Serial._finish, Action.waiting
    )
    assert preempted_at_each_opcode(scenario, when) > 20


class Doubtful(Manual):
    """Takes a job and says that it does not, as where a thread cannot be started."""

    def submit(self, fn, /, *args, **kwargs):
        super().submit(fn, *args, **kwargs)
        raise RuntimeError("can't start new thread")


def test_a_send_that_is_refused_is_not_run():
    """A worker comes in at each moment: it runs the action, or the sender is told."""

    def scenario():
        pool = Doubtful()
        agent = Agent(0, executor=pool)

        def one():
            try:
                agent.send(add)
            except AgentShutdownError:
                return 0
            return 1

        def check(sent, _):
            pool.run_all()
            assert agent.deref() == sent
            assert not agent._actions

        return one, pool.run_all, check

    when = within(Serial._post, Serial._withdraw, Action.begin, Doubtful.submit)
    assert preempted_at_each_opcode(scenario, when) > 20


def test_who_waits_for_what_is_refused_is_told():
    agent, waiter = Agent(0, executor=Doubtful()), Waiter()

    def send():
        with pytest.raises(AgentShutdownError):
            agent.send(add)

    stopped_once(send, within(Serial._withdraw), lambda: agent._actions[-1].add(waiter))
    assert waiter.gate.acquire(timeout=0)
    assert isinstance(waiter.error, AgentShutdownError)


def test_the_end_of_a_queue_that_becomes_shorter_meanwhile():
    """Without the GIL `queue[-1]` may fail on a queue that is not empty."""

    class Shorter(deque):
        def __getitem__(self, index):
            if len(self) > 1:
                self.popleft()
                raise IndexError
            return super().__getitem__(index)

    assert _last(Shorter("abc")) == "c"
    assert _last(deque()) is None


def test_who_waits_for_an_agent_that_is_restarted_is_not_told_that_all_has_run():
    """The worker tells of a failure that another thread has just repaired."""

    def scenario():
        pool, expected = Manual(), []
        agent = Agent(0, executor=pool, error_handler=ignore)
        agent.send(fail).send(add, 1)
        _expect(agent, expected)
        ((_, action, waiter),) = expected

        def check(*_):
            if waiter.gate.acquire(blocking=False):
                assert action.done or isinstance(waiter.error, AgentFailedError)
            pool.run_all()
            assert (action.done, agent.deref()) == (True, 6)

        return pool.run_one, lambda: agent.restart(5), check

    moments = within(Serial._hand_on, Serial._waiting, Serial._tell)

    def after_the_failure(frame):
        return moments(frame) and frame.f_locals["self"].error is not None

    assert preempted_at_each_opcode(scenario, after_the_failure) > 10
