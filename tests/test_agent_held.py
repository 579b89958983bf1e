"""What is sent inside a transaction or an action is held until that is over."""

from __future__ import annotations

import threading

import pytest
from agents import Inline, Manual, Park, add, append
from helpers import (
    FORMS,
    PATIENCE,
    RERUN_FORMS,
    Attempts,
    commit,
    elsewhere,
    start,
    transact,
    until,
    wait,
)

from atomos import Ref, atomically, dosync
from atomos.agent import Agent, await_agents
from atomos.errors import (
    AgentFailedError,
    CommuteError,
    TransactionStateError,
    WouldDeadlockError,
)


class Boom(Exception):
    pass


def ignore(agent, error):
    pass


# In a transaction


@pytest.mark.parametrize("form", FORMS)
def test_held_until_the_commit(form):
    agent, ref, seen = Agent((), executor=Inline()), Ref(0), []

    def body():
        ref.set(1)
        agent.send(append, 1).send_off(append, 2)
        seen.append((agent.deref(), elsewhere(agent.deref)))

    agent.add_watch("w", lambda *args: seen.append(elsewhere(ref.deref)))
    transact(form, body)
    assert seen == [((), ()), 1, 1]
    assert agent.deref() == (1, 2)


@pytest.mark.parametrize("form", FORMS)
def test_dropped_with_a_transaction_that_raises(form):
    agent = Agent((), executor=Inline())

    def body():
        agent.send(append, 1)
        raise Boom

    with pytest.raises(Boom):
        transact(form, body)
    assert agent.deref() == ()


@pytest.mark.parametrize("form", RERUN_FORMS)
def test_dropped_with_an_attempt_that_is_run_again(form):
    agent, ref, attempts = Agent((), executor=Inline()), Ref(0), Attempts()

    def body():
        attempts.begin()
        agent.send(append, attempts.count)
        old = ref.deref()
        attempts.once(commit, ref, 5)
        ref.set(old + 1)
        agent.send(append, "end")

    transact(form, body)
    assert attempts.count == 2
    assert agent.deref() == (2, "end")


@pytest.mark.parametrize("form", FORMS)
def test_what_an_inner_call_sends_is_held_until_the_outer_one_commits(form):
    agent, seen = Agent((), executor=Inline()), []

    @dosync
    def outer():
        transact(form, lambda: agent.send(append, "inner"))
        seen.append(agent.deref())
        agent.send(append, "outer")

    outer()
    assert seen == [()]
    assert agent.deref() == ("inner", "outer")


@pytest.mark.parametrize("form", FORMS)
def test_dropped_with_an_inner_transaction_that_is_abandoned(form):
    agent = Agent((), executor=Inline())

    def inner():
        agent.send(append, "inner")
        raise Boom

    @dosync
    def outer():
        agent.send(append, "before")
        with pytest.raises(Boom):
            transact(form, inner)
        agent.send(append, "after")

    outer()
    assert agent.deref() == ("before", "after")


def test_the_order_of_sends_in_a_transaction():
    agents = [Agent((), executor=pool) for pool in [Manual()] * 3]

    @dosync
    def body():
        for n in range(12):
            agents[n % 3].send(append, n)

    body()
    agents[0]._executor.run_all()
    assert [agent.deref() for agent in agents] == [
        (0, 3, 6, 9),
        (1, 4, 7, 10),
        (2, 5, 8, 11),
    ]


def test_a_transaction_that_only_reads_may_send():
    agent = Agent(0, executor=Inline())
    with dosync(read_only=True):
        agent.send(add)
    assert agent.deref() == 1


def test_a_function_given_to_commute_may_not_send():
    agent, ref = Agent(0, executor=Inline()), Ref(0)
    with pytest.raises(CommuteError):
        atomically(ref.commute, lambda n: agent.send(add) and n)
    assert agent.deref() == 0


def test_a_watch_that_raises_drops_no_held_send(caplog):
    agent, ref = Agent(0, executor=Inline()), Ref(0)

    def watch(*args):
        raise Boom

    ref.add_watch("bad", watch)

    @dosync
    def body():
        ref.set(1)
        agent.send(add)

    body()
    assert (agent.deref(), len(caplog.records)) == (1, 1)


def test_a_failed_agent_refuses_in_a_transaction_at_once():
    agent, ref = Agent(0, error_handler=ignore, executor=Inline()), Ref(0)
    agent.send(lambda n: 1 / 0)
    with pytest.raises(AgentFailedError), dosync():
        ref.set(1)
        agent.send(add)
    assert ref.deref() == 0


def test_what_is_held_while_the_agent_fails_waits_for_the_restart():
    agent = Agent(0, error_handler=ignore, executor=Inline())
    with dosync():
        agent.send(add)
        elsewhere(agent.send, lambda n: 1 / 0)
    assert agent.deref() == 0
    agent.restart(5)
    assert agent.deref() == 6


def test_to_wait_or_restart_in_a_transaction_is_an_error():
    agent = Agent(0)
    for call in (agent.wait, lambda: await_agents(agent)):
        with pytest.raises(WouldDeadlockError, match="a transaction"), dosync():
            call()
    with pytest.raises(TransactionStateError), dosync():
        agent.restart(0)


def test_an_action_does_not_join_the_transaction_that_sends():
    """Not even where its executor runs it in the same thread and context."""
    agent, ref = Agent(None, executor=Inline()), Ref(0)
    with dosync():
        ref.set(1)
        agent.send(lambda _: elsewhere(ref.deref))
    assert agent.deref() == 1


# In an action


def test_held_until_the_action_ends():
    agent, other, park = Agent(0), Agent(0), Park()

    def act(n):
        other.send(add)
        return park(n) + 1

    agent.send(act)
    wait(park.begun)
    other.wait(PATIENCE)
    assert other.deref() == 0
    park.go_on.set()
    await_agents(agent, timeout=PATIENCE)
    other.wait(PATIENCE)  # has been handed over by now
    assert (agent.deref(), other.deref()) == (1, 1)


def test_what_is_held_sees_the_new_state():
    agent, other = Agent(0), Agent(None)
    agent.send(lambda n: other.send(lambda _: agent.deref()) and 7)
    agent.wait(PATIENCE)
    other.wait(PATIENCE)
    assert other.deref() == 7


@pytest.mark.parametrize("mode", ["fail", "continue"])
def test_dropped_with_an_action_that_fails(mode):
    agent = Agent(0, error_mode=mode, error_handler=ignore, executor=Inline())
    other = Agent(0, executor=Inline())

    def act(n):
        other.send(add)
        raise Boom

    def refused(n):
        other.send(add)
        return -1

    agent.set_validator(lambda n: n >= 0)
    agent.send(act)
    assert other.deref() == 0
    if mode == "fail":
        agent.restart(0)
    agent.send(refused)
    assert other.deref() == 0


def test_what_the_handler_sends_is_not_held():
    other = Agent(0, executor=Inline())
    seen = []

    def handler(agent, error):
        other.send(add)
        seen.append(other.deref())

    Agent(0, error_handler=handler, executor=Inline()).send(lambda n: 1 / 0)
    assert seen == [1]


def test_what_another_thread_sends_meanwhile_is_not_held():
    agent, other = Agent(0), Agent(0, executor=Inline())
    agent.send(lambda n: elsewhere(other.send, add) and other.deref())
    agent.wait(PATIENCE)
    assert agent.deref() == 1


def test_a_transaction_in_an_action():
    """What it sends is held until it commits, and then until the action ends."""
    agent, other, ref, seen = Agent(0), Agent((), executor=Inline()), Ref(0), []

    def act(n):
        attempts = Attempts()

        @dosync
        def body():
            attempts.begin()
            other.send(append, attempts.count)
            old = ref.deref()
            attempts.once(commit, ref, 5)
            ref.set(old + 1)

        other.send(append, "before")
        body()
        other.send(append, "after")
        seen.append(other.deref())
        return n + 1

    agent.send(act).wait(PATIENCE)
    assert seen == [()]
    assert other.deref() == ("before", 2, "after")


def test_the_order_of_sends_to_oneself():
    agent, park = Agent(()), Park()

    def act(state):
        agent.send(append, "a").send_off(append, "b")
        return park(state)

    agent.send(act)
    wait(park.begun)
    agent.send(append, "queued")
    park.go_on.set()
    until(lambda: len(agent.deref()) == 3)
    assert agent.deref() == ("queued", "a", "b")


def test_a_chain_of_sends():
    last = threading.Event()
    agents = [Agent(0) for _ in range(200)]

    def act(n, rest):
        if rest:
            rest[0].send(act, rest[1:])
        else:
            last.set()
        return n + 1

    job = start(agents[0].send, act, agents[1:])
    wait(last)
    job.join()
    await_agents(*agents, timeout=PATIENCE)
    assert {agent.deref() for agent in agents} == {1}
