"""The turn at the clock: one thread at a time, and no number is lost or used twice."""

from __future__ import annotations

from operator import length_hint
from threading import Event
from time import sleep

import pytest
from helpers import GIL, done_or_blocked, draw_number, elsewhere, start, wait
from interrupts import Interrupted, stopped_once
from test_clock import WAYS, Cells, has_the_turn

from atomos.stm import _turn
from atomos.stm._turn import clock, give_way, more_numbers

needs_numbers = pytest.mark.skipif(not GIL, reason="the turn is a lock")
#: Without the GIL all wait for one lock, in two ways.
OTHERS = WAYS if GIL else ["three", "add"]
#: Plain blocks wait for each other before they come to the clock.
PAIRS = [(a, b) for a in WAYS for b in OTHERS if (a, b) != ("block", "block")]


def taken():
    """Return the last number that was handed out."""
    return clock.end - length_hint(clock.steps)


def at_rest():
    """Whether nobody has a number, and none is lost."""
    return not GIL or (clock.done == taken() and not clock.skipped)


class Gate:
    """Who waits for the turn stops here until it is opened."""

    def __init__(self):
        self._waits, self._go = Event(), Event()

    def __call__(self, seconds):
        self._waits.set()
        wait(self._go)
        sleep(seconds)

    def reached(self, job):
        """Wait until `job` waits for the turn, or has ended."""
        if not GIL:
            done_or_blocked(job)
            return
        while not self._waits.wait(0.001) and job.thread.is_alive():
            pass

    def open(self):
        self._go.set()


@pytest.fixture
def gate(monkeypatch):
    gate = Gate()
    monkeypatch.setattr(_turn, "sleep", gate)
    yield gate
    gate.open()


@pytest.fixture(autouse=True)
def _nothing_is_lost():
    """If a number is lost, only the test that has lost it fails."""
    yield
    if not GIL:
        return
    for number in range(clock.done + 1, taken() + 1):
        clock.skipped[number] = None
    give_way()


@pytest.mark.parametrize(("way", "other"), PAIRS)
def test_nobody_commits_in_the_turn_of_another(way, other, gate):
    """He gives up each number that he gets meanwhile, and waits."""
    cells, others, seen = Cells(), Cells(), []

    def look():
        before = clock.now, clock.done
        job = start(getattr(others, other), 2)
        gate.reached(job)
        seen.append((job, (clock.now, clock.done) == before))
        seen.append(set(clock.skipped) == set(range(clock.done + 2, taken() + 1)))

    stopped_once(lambda: getattr(cells, way)(1), has_the_turn, look)
    (job, waited), none_is_lost = seen
    assert waited, "the clock was moved meanwhile"
    assert none_is_lost or not GIL
    gate.open()
    job.join()
    assert [cell.deref() for cell in cells.written(way)] == [1] * len(
        cells.written(way)
    )
    assert [cell.deref() for cell in others.written(other)] == [2] * len(
        others.written(other)
    )
    assert at_rest()


@needs_numbers
def test_numbers_that_were_given_up_are_passed_over():
    """But not the one that somebody still has."""
    Cells()
    assert at_rest()
    first, *others = [draw_number() for _ in range(4)]
    for number in others:
        clock.skipped[number] = None
    give_way()
    assert clock.done == first - 1
    clock.done = first
    give_way()
    assert clock.done == others[-1]
    assert at_rest()


MOMENTS = {
    "before it looks": lambda frame: True,
    "when it has them": lambda frame: "fresh" in frame.f_locals,
}


@needs_numbers
@pytest.mark.parametrize("used", [1, 2, 3, 5])
@pytest.mark.parametrize("moment", MOMENTS)
def test_two_lay_more_numbers_ready(moment, used, monkeypatch):
    """Those of one of them are used, all of them, each once."""
    monkeypatch.setattr(_turn, "BATCH", 3)
    cells = Cells()
    while length_hint(clock.steps):
        cells.reset(0)
    assert at_rest()

    def when(frame):
        return frame.f_code is more_numbers.__code__ and MOMENTS[moment](frame)

    def use():
        for n in range(used):
            cells.reset(n)

    stopped_once(more_numbers, when, lambda: start(use).join())
    assert at_rest()
    cells.reset("next")
    assert at_rest()


@needs_numbers
@pytest.mark.parametrize("way", WAYS)
def test_numbers_that_run_out(way, monkeypatch):
    """Whoever finds none lays more ready, and none is handed out twice."""
    monkeypatch.setattr(_turn, "BATCH", 2)
    cells, seen = Cells(), []
    for n in range(20):
        while length_hint(clock.steps):
            cells.reset(0)
        getattr(cells, way)(n)
        assert at_rest()
        seen.append(clock.now)
    assert seen == sorted(set(seen))
    assert [cell.deref() for cell in cells.written(way)] == [19] * len(
        cells.written(way)
    )


def test_a_thread_that_has_waited_goes_on_when_the_other_has_ended(gate):
    """Many wait, and each of them has its turn."""
    cells, others, jobs = Cells(), [Cells() for _ in range(5)], []

    def let_wait():
        for other in others:
            jobs.append(start(other.swap, 2))
            gate.reached(jobs[-1])

    stopped_once(lambda: cells.swap(1), has_the_turn, let_wait)
    gate.open()
    for job in jobs:
        job.join()
    assert [other.z.deref() for other in others] == [2] * 5
    assert at_rest()


@needs_numbers
@pytest.mark.parametrize("way", WAYS)
def test_a_number_that_a_trace_function_has_lost_is_found_missing(way, monkeypatch):
    """It raises between the number and the `try`; nobody waits for that number."""
    monkeypatch.setattr(_turn, "LONG", 1)
    cells = Cells()

    def cut():
        raise Interrupted

    def taken_just_now(frame):
        return has_the_turn(frame) and frame.f_code is not _turn.Turns.__next__.__code__

    with pytest.raises(Interrupted):
        stopped_once(lambda: getattr(cells, way)(1), taken_just_now, cut)
    assert clock.done < taken()
    for way in WAYS:
        elsewhere(getattr(cells, way), 2)
    assert {cells.x.deref(), cells.y.deref(), cells.z.deref()} == {2}


@needs_numbers
def test_a_number_that_somebody_has_is_not_taken_for_lost(monkeypatch):
    monkeypatch.setattr(_turn, "LONG", 1)
    cells, seen = Cells(), []

    def meanwhile():
        job = start(cells.add, 2)
        job.thread.join(0.05)  # it looks some hundred times in that time
        seen.append(job)
        assert job.thread.is_alive()
        assert clock.done + 1 not in clock.skipped

    stopped_once(lambda: cells.swap(1), has_the_turn, meanwhile)
    seen[0].join()
    assert (cells.z.deref(), cells.number.get()) == (1, 2)
