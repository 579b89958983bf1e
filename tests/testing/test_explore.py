"""All schedules with few preemptions are run, each once, the fewest first."""

from __future__ import annotations

from math import comb

import pytest
from planted import add, add_badly, total, transfer

from atomos import Atom, Ref, debug, dosync
from atomos.stm import collecting
from atomos.testing import (
    Exploration,
    NestedRunError,
    Schedule,
    explore,
    run_interleaved,
)
from atomos.testing._instrument import _instruments


def reads(cell):
    cell.deref()
    cell.deref()


def fresh():
    return Atom(0)


def seen_by(preemptions, *work):
    """Return what was run, and the order of the threads in each run."""
    seen = []

    def note(cell, run):
        order = "".join(step.thread[0] for step in run.steps)
        seen.append((run.schedule, order))

    done = explore(*work, setup=fresh, check=note, preemptions=preemptions)
    assert done == Exploration(len(seen), True, preemptions)
    return seen


def test_all_orders_of_the_steps_are_found():
    """Two threads of two steps each have as many orders as there are combinations."""
    orders = {order for _, order in seen_by(4, reads, reads)}
    assert len(orders) == comb(4, 2)


def test_each_schedule_is_run_once():
    done = [schedule for schedule, _ in seen_by(2, reads, reads, reads)]
    assert len(set(done)) == len(done)


def test_orders_by_preemptions():
    def preemptions(order):
        switches = [i for i in range(1, len(order)) if order[i - 1] != order[i]]
        return sum(order[i - 1] in order[i:] for i in switches)

    by_number = [{order for _, order in seen_by(n, reads, reads)} for n in range(4)]
    for number, orders in enumerate(by_number):
        assert all(preemptions(order) <= number for order in orders)
    assert by_number[0] == {"0011", "1100"}
    assert by_number[1] == {"0011", "1100", "0110", "1001"}
    assert by_number[2] == {*by_number[1], "0101", "1010"}
    assert by_number[3] == by_number[2]


def test_who_goes_on_after_an_end_is_no_preemption():
    orders = {order for _, order in seen_by(0, reads, reads, reads)}
    assert orders == {"001122", "002211", "110022", "112200", "220011", "221100"}


def is_two(tally, run):
    assert tally.deref() == 2


def test_a_lost_update_is_found_with_one_preemption():
    with pytest.raises(AssertionError) as caught:
        explore(add_badly, add_badly, setup=fresh, check=is_two)
    assert caught.value.__notes__[-1].startswith("under Schedule((2, 0)):\nstep")
    explore(add_badly, add_badly, setup=fresh, check=is_two, preemptions=0)


def test_what_is_right_passes():
    assert explore(add, add, setup=fresh, check=is_two).complete
    done = explore(
        lambda refs: transfer(*refs),
        lambda refs: total(*refs),
        setup=lambda: (Ref(5), Ref(5)),
        check=lambda refs, run: run.results[1] == 10 or pytest.fail("not atomic"),
    )
    assert done.complete
    assert done.runs > 20


def test_without_setup_bodies_have_no_argument():
    cell = Atom(0)
    runs = []
    done = explore(cell.deref, cell.deref, check=runs.append, preemptions=0)
    assert done.runs == len(runs) == 2
    assert runs[0].results == (0, 0)


def test_threads_have_the_names_of_the_bodies():
    threads = set()

    def note(cell, run):
        threads.update(step.thread for step in run.steps)

    explore(reads, add, setup=fresh, check=note, preemptions=0)
    assert threads == {"0 reads", "1 add"}


def test_a_limit_ends_it():
    done = explore(add, add, setup=fresh, limit=3)
    assert done == Exploration(3, False, 2)


def test_a_failure_of_a_body_ends_it():
    def fails(cell):
        cell.deref()
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine") as caught:
        explore(fails, add, setup=fresh)
    assert len(caught.value.__notes__) == 1


def test_a_loop_that_waits_is_explored():
    def waits(cell):
        while not cell.deref():
            pass

    assert explore(waits, lambda cell: cell.reset(1), setup=fresh).complete


def test_it_is_refused_inside_of_a_run():
    with pytest.raises(NestedRunError):
        run_interleaved(Schedule(), lambda: explore(lambda: None))


def in_plain_blocks():
    ref = Ref(0)

    def body():
        with dosync():
            ref.set(ref.deref() + 1)

    return body, body


def test_others_who_look_on_hide_no_step(monkeypatch):
    """They wrap some of the functions that the kit wraps, each place on its own."""
    expected = explore(*in_plain_blocks(), preemptions=1)
    monkeypatch.setattr(_instruments, "_modules", 0)  # it finds all places anew
    debug.enable()
    try:
        with collecting() as collected:
            assert explore(*in_plain_blocks(), preemptions=1) == expected
    finally:
        debug.disable()
    assert collected.statistics().commits == 2 * expected.runs
    assert explore(*in_plain_blocks(), preemptions=1) == expected


@pytest.mark.parametrize(
    ("error", "kwargs"),
    [
        (ValueError, {"preemptions": -1}),
        (ValueError, {"limit": 0}),
        (TypeError, {"setup": 1}),
        (TypeError, {"check": 1}),
    ],
)
def test_bad_input_is_refused(error, kwargs):
    with pytest.raises(error):
        explore(lambda: None, **kwargs)
