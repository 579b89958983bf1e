"""Agents: order, one action at a time, errors, restart, waiting."""

from __future__ import annotations

import gc
import logging
import operator
import signal
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest
from agents import Inline, Manual, Park, add, append
from helpers import PATIENCE, elsewhere, run_threads, start, until, wait

from atomos import ARef, Atom, Ref, atomically, dosync
from atomos.agent import Agent, await_agents, current_agent
from atomos.errors import (
    AgentFailedError,
    AgentNotFailedError,
    AgentShutdownError,
    AgentTimeout,
    ValidationError,
    WouldDeadlockError,
)


class Boom(Exception):
    pass


def boom(state):
    raise Boom


def ignore(agent, error):
    pass


# Sending


def test_an_action_changes_the_state():
    agent = Agent(1)
    assert isinstance(agent, ARef)
    assert agent.send(add) is agent
    assert agent.send_off(lambda n, m, *, k: n * m + k, 10, k=3) is agent
    agent.wait(PATIENCE)
    assert agent.deref() == 23


@pytest.mark.parametrize("call", ["send", "send_off"])
def test_actions_run_in_the_order_sent(call):
    agent = Agent(())
    for n in range(500):
        getattr(agent, call)(append, n)
    agent.wait(PATIENCE)
    assert agent.deref() == tuple(range(500))


def test_the_order_holds_across_both_pools():
    agent = Agent(())
    for n in range(300):
        (agent.send if n % 3 else agent.send_off)(append, n)
    agent.wait(PATIENCE)
    assert agent.deref() == tuple(range(300))


def test_each_action_runs_in_its_pool():
    def name(names):
        return (*names, threading.current_thread().name.rpartition("_")[0])

    agent, park = Agent(()), Park()
    agent.send(park)
    for call in (agent.send, agent.send_off, agent.send, agent.send_off):
        call(name)
    park.go_on.set()
    agent.wait(PATIENCE)
    assert agent.deref() == ("atomos-send", "atomos-send_off") * 2


def test_one_action_at_a_time():
    agents = [Agent(0) for _ in range(3)]
    inside = dict.fromkeys(agents, 0)
    worst = []

    def count(state):
        agent = current_agent()
        inside[agent] += 1
        worst.append(inside[agent])
        inside[agent] -= 1
        return state + 1

    def sender():
        for n in range(200):
            for agent in agents:
                (agent.send if n % 2 else agent.send_off)(count)

    run_threads(*[sender] * 4)
    await_agents(*agents, timeout=PATIENCE)
    assert [agent.deref() for agent in agents] == [800] * 3
    assert max(worst) == 1


def test_a_kick_too_many_runs_nothing_at_the_same_time():
    """Two jobs of one agent in two threads: the second one finds a worker and ends."""
    pool = Manual()
    agent, park = Agent(0, executor=pool), Park()
    agent.send(park).send(add)
    job = pool.jobs[0]
    worker = start(pool.run_one)
    wait(park.begun)
    _, fn, args, _ = job
    elsewhere(fn, *args)  # as if it had been submitted twice
    assert agent.deref() == 0
    park.go_on.set()
    worker.join()
    pool.run_all()
    assert agent.deref() == 1


def test_what_is_sent_just_as_the_worker_lets_go_is_run(often):
    """Each send may meet the end of the last slice."""
    agent = Agent(0)
    for n in range(2000):
        agent.send(add)
        if n % 2:
            until(lambda n=n: agent.deref() == n + 1)
    agent.wait(PATIENCE)
    assert agent.deref() == 2000


def test_an_agent_with_much_to_do_does_not_stop_others():
    """The pool has one thread; the slice of the busy one ends."""
    with ThreadPoolExecutor(1) as pool:
        go_on = threading.Event()
        busy, other = Agent(0, executor=pool), Agent(0, executor=pool)

        def again(n):
            if not go_on.is_set():
                current_agent().send(again)
            return n + 1

        busy.send(again)
        other.send(add)
        other.wait(PATIENCE)
        go_on.set()
        busy.wait(PATIENCE)


def test_send_off_does_not_wait_for_others_that_wait():
    agents = [Agent(0) for _ in range(40)]
    meet = threading.Barrier(len(agents))
    for agent in agents:
        agent.send_off(lambda n: n + (meet.wait(PATIENCE) >= 0))
    await_agents(*agents, timeout=PATIENCE)
    assert {agent.deref() for agent in agents} == {1}


def test_an_executor_replaces_both_pools():
    pool = Manual()
    agent = Agent((), executor=pool)
    agent.send(append, 1).send_off(append, 2).send(append, 3)
    assert agent.deref() == ()
    assert len(pool.jobs) == 1
    pool.run_all()
    assert agent.deref() == (1, 2, 3)


def test_an_executor_may_run_at_once():
    agent = Agent((), executor=Inline())
    agent.send(append, 1).send(append, 2)
    assert agent.deref() == (1, 2)
    agent.send(lambda s: current_agent().send(append, "held") and (*s, 3))
    assert agent.deref() == (1, 2, 3, "held")
    assert current_agent() is None


def test_current_agent():
    agent, other = Agent(None, executor=Inline()), Agent(None, executor=Inline())
    agent.send(lambda _: (current_agent(), elsewhere(current_agent)))
    assert agent.deref() == (agent, None)
    seen = []
    agent.add_watch("w", lambda *args: seen.append(current_agent()))
    agent.send(lambda _: other.send(lambda _: current_agent()) and None)
    assert other.deref() is other
    assert seen == [agent]


# The state is a cell


def test_transactions_read_the_state():
    agent, ref = Agent(1), Ref(0)

    @dosync
    def copy(first):
        seen = agent.deref()
        if first:
            first.pop()
            elsewhere(lambda: agent.send(add).wait(PATIENCE))
        ref.set(seen)
        return agent.deref() == seen

    assert copy(["first"])
    assert ref.deref() == agent.deref() == 2


def test_an_action_may_run_transactions():
    agent, ref = Agent(1), Ref(10)
    agent.send(lambda n: n + atomically(ref.alter, add, 5)).wait(PATIENCE)
    assert (agent.deref(), ref.deref()) == (16, 15)


def test_an_action_is_in_no_transaction_of_who_sends():
    """Also with an executor that runs it in the thread of the sender."""
    agent, ref = Agent(None, executor=Inline()), Ref(0)
    with pytest.raises(Boom), dosync():
        ref.set(1)
        elsewhere(agent.send, lambda _: ref.deref())
        raise Boom
    assert agent.deref() == 0


def test_a_commit_waits_for_a_block_that_has_read_the_agent():
    agent, done = Agent(0), []
    with dosync():
        assert agent.deref() == 0
        elsewhere(agent.send, add)
        assert agent.deref() == 0
        done.append(True)
    agent.wait(PATIENCE)
    assert agent.deref() == 1


def test_watches_see_each_action():
    agent, seen = Agent(0, meta="m", name="a"), []
    agent.add_watch("k", lambda *args: seen.append(args))
    agent.send(add).send(lambda n: n).wait(PATIENCE)
    assert seen == [("k", agent, 0, 1), ("k", agent, 1, 1)]
    assert agent.meta() == "m"
    assert repr(agent) == "Agent(1, name='a')"


# Errors of actions


def test_an_agent_that_fails_keeps_its_error():
    agent = Agent(1, name="a", error_handler=ignore)
    agent.send(boom)
    with pytest.raises(AgentFailedError, match=r"Agent 'a' has failed.*Boom") as caught:
        agent.wait(PATIENCE)
    assert isinstance(agent.error, Boom)
    assert caught.value.__cause__ is agent.error
    for call in (agent.send, agent.send_off):
        with pytest.raises(AgentFailedError) as caught:
            call(add)
        assert caught.value.__cause__ is agent.error
    assert agent.deref() == 1


def test_queued_actions_wait_for_the_restart():
    pool = Manual()
    agent = Agent((), error_handler=ignore, executor=pool)
    agent.send(boom).send(append, 1).send(append, 2)
    pool.run_all()
    assert agent.deref() == ()
    assert agent.restart((0,)) is agent
    assert agent.error is None
    pool.run_all()
    assert agent.deref() == (0, 1, 2)
    agent.send(append, 3)
    pool.run_all()
    assert agent.deref() == (0, 1, 2, 3)


def test_restart_may_drop_the_queue():
    pool = Manual()
    agent = Agent((), error_handler=ignore, executor=pool)
    agent.send(boom).send(append, 1)
    pool.run_all()
    agent.restart((), clear=True)
    agent.send(append, 2)
    pool.run_all()
    assert agent.deref() == (2,)


def test_restart_needs_a_failed_agent():
    agent = Agent(1)
    with pytest.raises(AgentNotFailedError):
        agent.restart(2)
    assert agent.deref() == 1


def test_a_restart_that_the_validator_refuses_changes_nothing():
    agent = Agent(1, validator=lambda n: n > 0, error_handler=ignore)
    agent.send(boom)
    until(lambda: agent.error)
    with pytest.raises(ValidationError):
        agent.restart(-1)
    assert isinstance(agent.error, Boom)
    agent.restart(5).send(add).wait(PATIENCE)
    assert agent.deref() == 6


def test_of_two_restarts_one_is_told():
    """The second one comes while the first one asks the validator."""
    pool, others = Manual(), []

    def validator(n):
        if n == 1:
            others.append(elsewhere(caught, AgentNotFailedError, agent.restart, 2))
        return True

    def caught(kind, call, *args):
        with pytest.raises(kind):
            call(*args)
        return True

    agent = Agent(0, error_handler=ignore, executor=pool)
    agent.send(boom)
    pool.run_all()
    agent.set_validator(validator)
    agent.restart(1)
    assert others == [True]
    assert agent.deref() == 1


def test_an_agent_that_continues():
    errors = []
    agent = Agent(
        0, error_mode="continue", error_handler=lambda *args: errors.append(args)
    )
    agent.send(add).send(boom).send(add).wait(PATIENCE)
    assert agent.deref() == 2
    assert agent.error is None
    assert [(who, type(error)) for who, error in errors] == [(agent, Boom)]


@pytest.mark.parametrize("mode", ["fail", "continue"])
def test_an_error_that_nobody_handles_is_logged(mode, caplog):
    agent = Agent(0, name="a", error_mode=mode, executor=Inline())
    agent.send(boom)
    (record,) = caplog.records
    assert "Agent 'a'" in record.getMessage()
    assert record.exc_info[0] is Boom


@pytest.mark.parametrize("mode", ["fail", "continue"])
def test_a_handler_that_raises_is_logged(mode, caplog):
    def handler(agent, error):
        raise KeyError

    agent = Agent(0, error_mode=mode, error_handler=handler, executor=Inline())
    agent.send(boom)
    (record,) = caplog.records
    assert record.exc_info[0] is KeyError
    assert (agent.error is None) == (mode == "continue")


def test_a_handler_runs_before_the_next_action():
    seen = []
    agent = Agent(
        0, error_mode="continue", error_handler=lambda *args: seen.append("handler")
    )
    agent.send(boom).send(lambda n: seen.append("next")).wait(PATIENCE)
    assert seen == ["handler", "next"]


def test_a_handler_may_restart_and_send():
    def handler(agent, error):
        assert current_agent() is None
        assert agent.error is error
        agent.restart((0,))
        agent.send(append, "sent")

    agent = Agent((), error_handler=handler)
    park = Park()
    agent.send(park, boom).send(append, 1)
    waiting = start(agent.wait, PATIENCE)
    until(agent._waiting)  # not between the failure and the restart
    park.go_on.set()
    waiting.join()
    agent.wait(PATIENCE)
    assert agent.deref() == (0, 1, "sent")


def test_a_state_that_the_validator_refuses_is_an_error_of_the_action():
    agent = Agent(1, validator=lambda n: n > 0, error_handler=ignore)
    agent.send(lambda n: -n)
    until(lambda: agent.error)
    assert isinstance(agent.error, ValidationError)
    assert agent.deref() == 1


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_what_is_no_Exception_is_an_error_too(kind):
    def fail(n):
        raise kind

    agent = Agent(0, error_handler=ignore)
    agent.send(fail)
    with pytest.raises(AgentFailedError):
        agent.wait(PATIENCE)
    assert isinstance(agent.error, kind)
    agent.restart(1).send(add).wait(PATIENCE)
    assert agent.deref() == 2


def test_what_is_no_Exception_is_handed_to_the_executor():
    def fail(n):
        raise KeyboardInterrupt

    agent = Agent(0, error_handler=ignore, error_mode="continue", executor=Inline())
    with pytest.raises(KeyboardInterrupt):
        agent.send(fail)
    agent.send(add)
    assert agent.deref() == 1


def test_after_what_is_no_Exception_the_queue_goes_on():
    def fail(n):
        raise SystemExit

    agent, park = Agent(0, error_handler=ignore, error_mode="continue"), Park()
    agent.send(park).send(fail).send(add)
    park.go_on.set()
    agent.wait(PATIENCE)
    assert agent.deref() == 1


# Watches that raise


def test_a_watch_that_raises_is_logged_and_stops_nothing(caplog):
    agent, other, seen = Agent(0), Agent(0), []

    def watch(key, agent, old, new):
        raise Boom

    agent.add_watch("bad", watch)
    agent.add_watch("good", lambda *args: seen.append(args[2:]))
    agent.send(lambda n: other.send(add) and n + 1).send(add).wait(PATIENCE)
    other.wait(PATIENCE)
    assert (agent.deref(), other.deref(), agent.error) == (2, 1, None)
    assert seen == [(0, 1), (1, 2)]
    assert len(caplog.records) == 2


def test_what_ends_a_watch_takes_nothing_back(caplog):
    """`SystemExit` in a watch: the action has committed, and its sends are sent."""
    agent, other = Agent(0), Agent(0)

    def watch(key, agent, old, new):
        raise SystemExit

    agent.add_watch("bad", watch)
    agent.send(lambda n: other.send(add) and n + 1).wait(PATIENCE)
    other.wait(PATIENCE)
    assert (agent.deref(), other.deref(), agent.error) == (1, 1, None)
    assert caplog.records[0].exc_info[0] is SystemExit


# Waiting


def test_wait_waits_for_what_was_sent_before():
    agent, first, second = Agent(0), Park(), Park()
    agent.send(first)
    waiting = start(agent.wait, PATIENCE)
    wait(first.begun)
    with pytest.raises(AgentTimeout, match=r"Agent at .* within 0"):
        agent.wait(0)
    until(lambda: agent._actions[-1].waiters)
    agent.send(second)
    first.go_on.set()
    waiting.join()  # not for the second
    second.go_on.set()
    agent.wait(PATIENCE)


def test_an_agent_that_fails_ends_all_waits():
    agent, other, park = Agent(0, error_handler=ignore), Agent(0), Park()
    agent.send(park, boom).send(add)

    def waits():
        with pytest.raises(AgentFailedError) as caught:
            await_agents(other, agent, timeout=PATIENCE)
        assert isinstance(caught.value.__cause__, Boom)

    waiting = [start(waits) for _ in range(3)]
    until(lambda: len(agent._actions[-1].waiters or ()) == 3)
    park.go_on.set()
    for job in waiting:
        job.join()


@pytest.mark.parametrize("other", [3, None, Ref(1), Agent])
def test_await_agents_with_what_is_none(other):
    with pytest.raises(TypeError, match="await_agents needs agents, not"):
        await_agents(Agent(0), other)


def test_await_agents_with_one_that_has_failed():
    agent = Agent(0, error_handler=ignore)
    agent.send(boom)
    until(lambda: agent.error)
    with pytest.raises(AgentFailedError):
        await_agents(Agent(0), agent)


def test_a_wait_that_fails_is_told_even_if_the_restart_comes_first():
    """What it has waited for is dropped by the restart, which nobody else tells."""
    pool = Manual()

    def handler(agent, error):
        agent.restart(0, clear=True)

    agent = Agent(0, error_handler=handler, executor=pool)
    agent.send(boom).send(add)

    def waits():
        with pytest.raises(AgentFailedError):
            agent.wait(PATIENCE)

    waiting = start(waits)
    until(lambda: agent._actions[-1].waiters)
    pool.run_all()
    waiting.join()
    assert agent.deref() == 0


def test_await_agents_waits_for_all():
    agents = [Agent(0) for _ in range(5)]
    for agent in agents:
        for _ in range(20):
            agent.send(add)
    await_agents(*agents, *agents, timeout=PATIENCE)
    assert {agent.deref() for agent in agents} == {20}
    await_agents()


def test_a_wait_that_has_ended_leaves_nothing():
    agent, park = Agent(0), Park()
    agent.send(park)
    wait(park.begun)
    for _ in range(10):
        with pytest.raises(AgentTimeout):
            agent.wait(0)
    assert not agent._actions[0].waiters
    park.go_on.set()
    agent.wait(PATIENCE)


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="no such signals")
def test_ctrl_c_ends_a_wait():
    agent, park = Agent(0), Park()
    agent.send(park)
    wait(park.begun)

    def interrupt():
        until(lambda: agent._actions[0].waiters)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    job = start(interrupt)
    with pytest.raises(KeyboardInterrupt):
        agent.wait(PATIENCE)
    job.join()
    assert not agent._actions[0].waiters
    park.go_on.set()
    agent.wait(PATIENCE)


@pytest.mark.parametrize("timeout", [-1, "1", float("nan"), True])
def test_bad_timeouts(timeout):
    with pytest.raises(ValueError, match="timeout"):
        Agent(0).wait(timeout)


def test_a_timeout_may_be_long():
    Agent(0).send(add).wait(float("inf"))
    Agent(0).send(add).wait(1e300)


def test_to_wait_in_an_action_is_an_error():
    other = Agent(0)
    for call in (other.wait, await_agents, lambda: current_agent().wait(0)):
        agent = Agent(0, error_handler=ignore)
        agent.send(lambda n, call=call: call())
        with pytest.raises(AgentFailedError):
            agent.wait(PATIENCE)
        assert isinstance(agent.error, WouldDeadlockError)


def test_to_wait_for_an_agent_in_its_own_handler_is_an_error():
    errors = []

    def handler(agent, error):
        agent.restart(0)
        try:
            agent.wait(PATIENCE)
        except WouldDeadlockError as error:
            errors.append(error)

    agent = Agent(0, error_handler=handler)
    agent.send(boom)
    until(lambda: errors)
    agent.wait(PATIENCE)


# An executor that takes nothing


def test_an_executor_that_is_shut_down_refuses():
    pool = ThreadPoolExecutor(1)
    agent = Agent(0, name="a", executor=pool)
    pool.shutdown()
    with pytest.raises(AgentShutdownError, match="Agent 'a' takes no action") as caught:
        agent.send(add)
    assert isinstance(caught.value.__cause__, RuntimeError)
    agent.wait(PATIENCE)
    assert agent.deref() == 0


def test_what_is_held_for_one_that_is_shut_down_drops_no_other(caplog):
    caplog.set_level(logging.INFO)
    closed = ThreadPoolExecutor(1)
    closed.shutdown()
    agent, dead = Agent(0, executor=Inline()), Agent(0, executor=closed)
    other = Agent(0, executor=Inline())
    agent.send(lambda n: dead.send(add) and other.send(add) and n + 1)
    assert (agent.deref(), other.deref()) == (1, 1)
    (record,) = caplog.records
    assert "is dropped" in record.getMessage()


def test_what_was_sent_before_the_shutdown_is_run():
    park = Park()
    with ThreadPoolExecutor(1) as pool:
        agent = Agent(0, executor=pool)
        agent.send(park)
        for _ in range(10):
            agent.send(add)
        wait(park.begun)
        pool.shutdown(wait=False)
        park.go_on.set()
    assert agent.deref() == 10


def test_an_action_that_sends_on_and_on_ends_with_its_executor(caplog):
    caplog.set_level(logging.INFO)
    begun = threading.Event()

    def again(n):
        begun.set()
        current_agent().send(again)
        return n + 1

    with ThreadPoolExecutor(1) as pool:
        agent = Agent(0, executor=pool)
        agent.send(again)
        wait(begun)
    assert agent.deref() > 0
    assert "is dropped" in caplog.records[-1].getMessage()
    assert {record.levelno for record in caplog.records} == {logging.INFO}


def test_what_waits_for_an_executor_that_drops_its_jobs_is_told():
    pool = ThreadPoolExecutor(1)
    blocker, park, agent = Agent(0, executor=pool), Park(), Agent(0, executor=pool)
    blocker.send(park)
    wait(park.begun)
    agent.send(add)

    def waits():
        with pytest.raises(AgentShutdownError):
            agent.wait(PATIENCE)

    waiting = start(waits)
    until(lambda: agent._actions[-1].waiters)
    pool.shutdown(wait=False, cancel_futures=True)
    waiting.join()
    with pytest.raises(AgentShutdownError):
        agent.wait(PATIENCE)
    park.go_on.set()
    pool.shutdown()


# Bad input


def test_bad_input():
    with pytest.raises(TypeError, match="send needs a function"):
        Agent(0).send(1)
    with pytest.raises(TypeError, match="send_off needs a function"):
        Agent(0).send_off(None)
    with pytest.raises(ValueError, match="'fail' or 'continue'"):
        Agent(0, error_mode="ignore")
    with pytest.raises(TypeError, match="error_handler needs a function"):
        Agent(0, error_handler=1)
    with pytest.raises(TypeError, match="submit"):
        Agent(0, executor=1)
    with pytest.raises(ValidationError):
        Agent(0, validator=operator.truth)
    agent = Agent(0, error_handler=ignore)
    agent.send(lambda n, m: n)  # takes two
    until(lambda: agent.error)
    assert isinstance(agent.error, TypeError)


# Memory


def test_an_agent_and_what_it_ran_are_not_kept():
    class Value:
        pass

    agent, value = Agent(None), Value()
    agent.send(lambda _, value: None, value).wait(PATIENCE)
    gone = weakref.ref(value), weakref.ref(agent)
    del agent, value
    until(lambda: gc.collect() >= 0 and gone[0]() is None and gone[1]() is None)


def test_atoms_and_agents_agree():
    """An agent's commit is one on the clock that all cells share."""
    agent, atom = Agent(0), Atom(0)
    agent.send(lambda n: atom.swap(add)).wait(PATIENCE)
    assert agent._newest.number > atom._newest.number
