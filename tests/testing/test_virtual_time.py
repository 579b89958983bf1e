"""Time stands still while a thread can go on, and then jumps."""

from __future__ import annotations

import time

import pytest

from atomos import Atom, Ref, dosync, outside, retry
from atomos.errors import TransactionTimeout
from atomos.testing import Schedule, now, run_interleaved, sleep

DAY = 86_400


@pytest.fixture(autouse=True)
def _quick():
    before = time.monotonic()
    yield
    assert time.monotonic() - before < 5


def test_a_timeout_of_retry_is_over_at_once():
    ref = Ref(0)

    @dosync(timeout=3600)
    def never():
        ref.deref()
        retry()

    def body():
        with pytest.raises(TransactionTimeout):
            never()
        return now()

    run = run_interleaved(Schedule(), body)
    assert run.results == (3600.0,)
    assert run.seconds == 3600.0


def test_a_timeout_of_wait_for():
    atom = Atom(0)

    def body():
        with pytest.raises(TransactionTimeout):
            atom.wait_for(lambda n: n > 5, timeout=DAY)

    assert run_interleaved(Schedule(), body, body).seconds == DAY


def test_a_timeout_of_waiting_for_a_holder():
    ref = Ref(0)

    def holds():
        with dosync():
            ref.set(1)
            outside(sleep, DAY)

    def wants():
        with pytest.raises(TransactionTimeout, match=r"is held by|plain blocks"):
            dosync(timeout=100)(lambda: ref.set(2))()
        return now()

    run = run_interleaved(Schedule(), holds, wants)
    assert run.results == (None, 100.0)
    assert run.seconds == DAY
    assert ref.deref() == 1


def test_who_sleeps_longer_wakes_later():
    order = []

    def body(seconds):
        sleep(seconds)
        order.append((now(), seconds))

    run = run_interleaved(Schedule(), lambda: body(3), lambda: body(1), lambda: body(2))
    assert order == [(1.0, 1), (2.0, 2), (3.0, 3)]
    assert run.seconds == 3.0


def test_no_time_passes_while_somebody_can_go_on():
    atom = Atom(0)

    def works():
        for _ in range(50):
            atom.swap(lambda n: n + 1)
        return now()

    run = run_interleaved(Schedule((5, 0)), works, lambda: sleep(1))
    assert run.results == (0.0, None)


def test_time_passes_while_all_others_only_look():
    flag = Atom(False)

    def loops():
        while not flag.deref():
            pass
        return now()

    def later():
        sleep(DAY)
        flag.reset(True)

    assert run_interleaved(Schedule(), loops, loops, later).results == (DAY, DAY, None)


def test_outside_of_a_run_time_is_real():
    before = time.monotonic()
    sleep(0.01)
    assert before + 0.005 < now() <= time.monotonic()


@pytest.mark.parametrize("seconds", [-1, "1", None, True])
def test_no_seconds(seconds):
    with pytest.raises(ValueError, match="number of seconds"):
        sleep(seconds)
