"""The end of agents: the interpreter exits, pools are shut down, a process forks.

Most of it happens in a process of its own, which must end by itself.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from agents import Manual, Park, add, append
from helpers import PATIENCE, wait

import atomos
from atomos.agent import Agent, current_agent

ROOT = Path(atomos.__file__).parent.parent
#: Free-threaded builds tell of their GIL; nothing else may be printed.
BEGIN = """
import sys, threading, time
from atomos import Ref, dosync
from atomos.agent import Agent, await_agents, current_agent, shutdown_agents
from atomos.errors import AgentShutdownError
"""


def run(code):
    """Run a program; return what it prints. It must be silent on stderr."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", BEGIN + code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


# The interpreter exits


def test_what_was_sent_is_run_before_the_exit():
    printed = run("""
agents = [Agent(0) for _ in range(20)]
for agent in agents:
    for n in range(50):
        (agent.send if n % 2 else agent.send_off)(
            lambda n: time.sleep(0.0002) or n + 1
        )
    agent.send(lambda n: sys.stdout.write(f"{n}\\n"))
""")
    assert printed == ["50"] * 20


def test_the_exit_does_not_wait_for_idle_agents():
    assert run("Agent(0).send(print).send_off(print); await_agents()") == ["0", "None"]


@pytest.mark.parametrize("call", ["send", "send_off"])
def test_an_agent_that_sends_to_itself_on_and_on_does_not_keep_the_exit(call):
    assert (
        run(f"""
begun = threading.Event()
def again(n):
    begun.set()
    current_agent().{call}(again)
    return n + 1
agents = [Agent(0) for _ in range(5)]
for agent in agents:
    agent.send(again)
begun.wait()
""")
        == []
    )


def test_agents_that_send_to_each_other_do_not_keep_the_exit():
    assert (
        run("""
def pass_on(n, other):
    other.send(pass_on, current_agent())
    return n + 1
one, other = Agent(0), Agent(0)
one.send(pass_on, other)
one.send_off(pass_on, other)
""")
        == []
    )


def test_what_an_action_sends_while_the_program_exits_is_dropped():
    """Without a word, and what was sent before is run."""
    printed = run("""
import concurrent.futures.thread as pools
other = Agent(0)
def late(n):
    while not pools._shutdown:
        pass
    other.send(print)
    return n + 1
agent = Agent(0)
agent.send(late).send(late).send(print)
""")
    assert printed == ["2"]


def test_a_thread_that_sends_while_the_program_exits_is_told():
    printed = run("""
import concurrent.futures.thread as pools
def late():
    while not pools._shutdown:
        pass
    try:
        Agent(0).send(print)
    except AgentShutdownError:
        print("told")
threading.Thread(target=late).start()
Agent(0).send(lambda n: n)
""")
    assert printed == ["told"]


def test_a_failed_agent_does_not_keep_the_exit():
    assert run("""
agent = Agent(0, error_handler=lambda agent, error: print(type(error).__name__))
go_on = threading.Event()
agent.send(lambda n: go_on.wait() / 0).send(print)
go_on.set()
""") == ["ZeroDivisionError"]


def test_what_ends_an_action_does_not_end_the_others():
    assert run("""
agent = Agent(7, error_mode="continue", error_handler=lambda *args: None)
park = threading.Event()
agent.send(lambda n: park.wait() and n).send(lambda n: sys.exit(3)).send(print)
park.set()
""") == ["7"]


# shutdown_agents


def test_shutdown_runs_what_was_sent():
    printed = run("""
agents = [Agent(0) for _ in range(4)]
for agent in agents:
    for n in range(100):
        (agent.send if n % 2 else agent.send_off)(lambda n: n + 1)
shutdown_agents()
print(*[agent.deref() for agent in agents])
shutdown_agents()
""")
    assert printed == ["100"] * 4


def test_after_the_shutdown_sends_are_refused():
    printed = run("""
agent = Agent(0)
agent.send(lambda n: n + 1)
shutdown_agents(wait=False)
for call in (agent.send, agent.send_off, Agent(0).send):
    try:
        call(print)
    except AgentShutdownError as error:
        print("shutdown_agents" in str(error))
try:
    with dosync():
        agent.send(print)
except AgentShutdownError:
    print("True")
await_agents(agent)
print(agent.deref())
""")
    assert printed == ["True"] * 4 + ["1"]


def test_the_shutdown_drops_what_actions_send():
    printed = run("""
begun, go_on = threading.Event(), threading.Event()
other = Agent(0)
def act(n):
    begun.set()
    go_on.wait()
    other.send(print)
    current_agent().send(print)
    return n + 1
agent = Agent(0)
agent.send(act)
begun.wait()
shutdown_agents(wait=False)
go_on.set()
shutdown_agents()
print(agent.deref())
""")
    assert printed == ["1"]


def test_an_agent_with_its_own_executor_goes_on():
    printed = run("""
from concurrent.futures import ThreadPoolExecutor
shutdown_agents()
with ThreadPoolExecutor(1) as pool:
    Agent("on", executor=pool).send(print)
""")
    assert printed == ["on"]


def test_the_shutdown_does_not_wait_for_its_own_action():
    printed = run("""
from atomos.errors import WouldDeadlockError
def act(n):
    try:
        shutdown_agents()
    except WouldDeadlockError:
        print("told")
    shutdown_agents(wait=False)
Agent(0).send(act)
""")
    assert printed == ["told"]


def test_nothing_is_lost_between_a_send_and_a_shutdown():
    """Either it is run, or who sends is told."""
    printed = run("""
sys.setswitchinterval(1e-5)
agents = [Agent(0) for _ in range(20)]
sent = []
def send():
    own = 0
    try:
        while True:
            for agent in agents:
                agent.send(lambda n: n + 1)
                own += 1
    except AgentShutdownError:
        sent.append(own)
threads = [threading.Thread(target=send) for _ in range(4)]
for thread in threads:
    thread.start()
time.sleep(0.05)
shutdown_agents()
for thread in threads:
    thread.join()
for agent in agents:
    assert not agent._actions
print(sum(sent) == sum(agent.deref() for agent in agents))
""")
    assert printed == ["True"]


# fork


def in_child(fn):
    """Fork; run `fn` in the child, which must end by itself within seconds."""
    with warnings.catch_warnings():
        # From 3.12 on: "use of fork() may lead to deadlocks in the child".
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        code = 1
        try:
            signal.alarm(10)  # which ends the child
            if fn():
                code = 0
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0, "the child failed, or had to be ended"


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")


@needs_fork
def test_the_child_of_a_fork_has_pools_of_its_own():
    agent = Agent(0)
    agent.send(add).send_off(add).wait(PATIENCE)

    def child():
        agent.send(add).send_off(add).wait(PATIENCE)
        Agent(0).send(add).wait(PATIENCE)
        return agent.deref() == 4

    in_child(child)
    assert agent.deref() == 2
    agent.send(add).wait(PATIENCE)
    assert agent.deref() == 3


@needs_fork
def test_the_child_of_a_fork_exits():
    printed = run("""
import os, warnings
warnings.simplefilter("ignore", DeprecationWarning)
agent, go_on = Agent(0), threading.Event()
agent.send(lambda n: go_on.wait() and n + 1).send(lambda n: print("parent", n))
if os.fork():
    assert os.wait()[1] == 0
    go_on.set()
else:
    agent.send(lambda n: print("child", n))
""")
    assert printed == ["child", "0", "parent", "1"]


@needs_fork
def test_what_was_queued_or_running_is_the_parents():
    agent, park = Agent(()), Park()
    agent.send(park, lambda state: append(state, "first")).send(append, "second")
    wait(park.begun)

    def child():
        agent.wait(PATIENCE)  # there is nothing to wait for
        agent.send(append, "child").wait(PATIENCE)
        return agent.deref() == ("child",)

    in_child(child)
    park.go_on.set()
    agent.wait(PATIENCE)
    assert agent.deref() == ("first", "second")


@needs_fork
def test_an_action_that_forks_goes_on_in_the_parent():
    """In the child it writes and sends nothing, and is no action any more."""
    pool = Manual()
    agent, other = Agent(0, executor=pool), Agent(0, executor=pool)
    agent.send(add)

    def fork(n):
        other.send(add)

        def child():
            assert current_agent() is None
            other.send(add, 10)
            return True

        pid = os.fork()
        if pid:
            assert os.waitpid(pid, 0)[1] == 0
        else:
            signal.alarm(10)
            assert child()
        children.append(pid)
        return n + 1

    children = []
    agent.send(fork).send(add)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pool.run_all()
    if children == [0]:
        fine = (agent.deref(), other.deref()) == (1, 10)
        os._exit(0 if fine else 1)
    assert (agent.deref(), other.deref()) == (3, 1)


@needs_fork
def test_an_agent_stays_failed_in_the_child():
    pool = Manual()
    agent = Agent(0, executor=pool, error_handler=lambda agent, error: None)
    agent.send(lambda n: 1 / 0)
    pool.run_all()

    def child():
        assert isinstance(agent.error, ZeroDivisionError)
        agent.restart(5)
        agent.send(add)
        pool.run_all()
        return agent.deref() == 6

    in_child(child)
    assert agent.error is not None
