"""Runs that do not end by themselves are ended, and nothing is held afterwards."""

from __future__ import annotations

import signal
import sys
import threading

import pytest
from helpers import PATIENCE, done_or_blocked, elsewhere, run_threads, start
from planted import interrupted_by

from atomos import Atom, AtomicBoolean, Ref, atomically, check, dosync, outside
from atomos.testing import (
    DeadlockError,
    NoProgressError,
    Priorities,
    Schedule,
    StuckError,
    run_interleaved,
    sleep,
)


def usable(*refs):
    """Whether another thread can write these refs, alone and in a plain block."""

    def write():
        for ref in refs:
            atomically(lambda ref=ref: ref.set(ref.deref()))
        with dosync(timeout=PATIENCE):
            for ref in refs:
                ref.set("written")
        return True

    return elsewhere(write)


def test_two_that_wait_for_each_other():
    one, other = Ref(0, name="one"), Ref(0, name="other")

    def body(awaited, given):
        @dosync
        def waits():
            check(awaited.deref())

        waits()
        atomically(lambda: given.set(1))

    with pytest.raises(DeadlockError) as caught:
        run_interleaved(Schedule(), lambda: body(one, other), lambda: body(other, one))
    message = str(caught.value)
    assert "0 lambda waits for a change of one, in " in message
    assert "1 lambda waits for a change of other, in " in message
    assert caught.value.__notes__
    assert usable(one, other)


def test_one_that_holds_and_waits_for_one_that_waits_for_it():
    """The second one looks again every 0.2 s by itself: no end of a wait."""
    ref, flag = Ref(0, name="ref"), AtomicBoolean(False)

    def holds():
        with dosync(name="holder"):
            ref.set(1)
            outside(flag.wait_for, bool)

    def wants():
        with dosync():
            ref.set(2)
        flag.set(True)

    with pytest.raises(DeadlockError) as caught:
        run_interleaved(Schedule(), holds, wants)
    message = str(caught.value)
    assert "0 holds waits for a change of AtomicBoolean#1" in message
    assert "1 wants waits for the turn of plain blocks; 0 holds has it" in message
    assert " at 0x" not in message
    assert ref.deref() == 0
    assert usable(ref)


def test_what_a_body_raises_as_it_is_ended_is_not_told():
    flag = Atom(False)

    def body():
        try:
            flag.wait_for(bool)
        finally:
            raise KeyError

    with pytest.raises(DeadlockError):
        run_interleaved(Schedule(), body)


def test_a_deadlock_while_others_have_ended():
    flag = Atom(False)
    with pytest.raises(DeadlockError, match="0 waits waits for"):
        run_interleaved(Schedule(), waits_for(flag), lambda: None, lambda: sleep(5))


def waits_for(flag):
    def waits():
        flag.wait_for(bool)

    return waits


def test_a_wait_that_somebody_ends_is_no_deadlock():
    flag = Atom(False)
    run = run_interleaved(Schedule(), waits_for(flag), lambda: flag.reset(True))
    assert flag.deref() is True
    assert run.seconds == 0.0


def test_a_loop_that_waits_lets_others_go_on():
    flag = Atom(False)

    def loops():
        while not flag.deref():
            pass

    run = run_interleaved(Schedule(), loops, lambda: flag.reset(True))
    assert len(run.steps) < 30


@pytest.mark.parametrize("seed", range(10))
def test_so_it_does_with_the_highest_priority(seed):
    """It looks 20 times, and then no more until the others are done."""
    flag, tally = Atom(False), Atom(0)

    def loops():
        while not flag.deref():
            pass

    def works():
        for _ in range(10):
            tally.swap(lambda n: n + 1)
        flag.reset(True)

    schedule = Priorities(seed, depth=1)
    run_interleaved(schedule, loops, loops, works, max_steps=100)


def test_two_loops_that_wait_for_each_other():
    flag = Atom(False)

    def loops():
        while not flag.deref():
            pass

    with pytest.raises(NoProgressError, match=r"after 500 steps 0 loops, 1 loops did"):
        run_interleaved(Schedule(), loops, loops, max_steps=500)


def test_a_run_that_is_only_long():
    tally = Atom(0)

    def adds():
        for _ in range(100):
            tally.swap(lambda n: n + 1)

    with pytest.raises(NoProgressError, match=r"had not ended.*raise max_steps"):
        run_interleaved(Schedule(), adds, max_steps=100)


def test_loops_end_though_they_catch_everything():
    flag = Atom(False)
    caught = []

    def stubborn():
        while not flag.deref():
            try:
                while not flag.deref():
                    pass
            except BaseException as error:
                caught.append(error)

    with pytest.raises(NoProgressError):
        run_interleaved(Schedule(), stubborn, stubborn, max_steps=100)
    assert caught


def test_a_lock_that_is_not_of_this_library():
    lock, cell = threading.Lock(), Atom(0)

    def locks():
        with lock:
            cell.deref()
            cell.deref()

    run_interleaved(Schedule(), locks, locks)
    with pytest.raises(StuckError, match="1 locks came to no step") as caught:
        run_interleaved(Schedule((2, 0)), locks, locks, patience=0.1)
    assert "with lock:" in str(caught.value)
    assert caught.value.__notes__
    assert not lock.locked()
    run_interleaved(Schedule(), locks, locks)


@pytest.mark.skipif(sys.platform == "win32", reason="signals to a thread")
def test_ctrl_c_ends_all_threads():
    """The interpreter may be in the middle of the run, or of starting it."""
    ready, ref = threading.Event(), Ref(0)

    def body():
        with dosync():
            ref.set(1)
            while True:
                outside(ref.deref)
                ready.set()

    error = interrupted_by(
        signal.SIGINT,
        lambda: run_interleaved(Schedule((3, 0)), body, body, max_steps=10**9),
        ready,
    )
    assert type(error) is KeyboardInterrupt
    assert ref.deref() == 0
    assert usable(ref)
    run_interleaved(Schedule(), ref.deref)


def test_threads_that_are_not_of_the_run_go_on():
    """They commit on the same refs meanwhile, and hold them."""
    one, other, done = Ref(0), Ref(0), Atom(False)

    @dosync
    def both():
        one.alter(lambda n: n + 1)
        other.alter(lambda n: n + 1)

    def plain():
        with dosync():
            other.alter(lambda n: n + 1)
            one.alter(lambda n: n + 1)

    count = 0

    def outsider():
        nonlocal count
        while not done.deref():
            both()
            plain()
            count += 2

    def runs():
        for gap in range(30):
            run_interleaved(Schedule((gap, 0)), both, plain)
        done.reset(True)

    run_threads(outsider, runs)
    assert one.deref() == other.deref() == 60 + count


def test_runs_of_several_threads_wait_for_each_other():
    """Or one would be in the way of the other, and its steps would differ."""
    order, jobs = [], []

    def other():
        run_interleaved(Schedule(), lambda: order.append("second"))

    def body():
        jobs.append(start(other))
        done_or_blocked(jobs[0])
        order.append("first")

    run_interleaved(Schedule(), body)
    jobs[0].join()
    assert order == ["first", "second"]
