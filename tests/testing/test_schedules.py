"""Schedules are values, and what fails shrinks to few switches."""

from __future__ import annotations

import copy
import pickle
from random import Random

import pytest
from hypothesis import find, given, settings
from planted import add_badly, bodies, total, transfer

from atomos import Atom, Ref
from atomos.testing import Priorities, Schedule, priorities, run_interleaved, schedules


def loses(schedule):
    tally = Atom(0)
    run_interleaved(schedule, *bodies((add_badly, tally), (add_badly, tally)))
    return tally.deref() == 1


QUICK = settings(max_examples=200, database=None, deadline=None, derandomize=True)


def test_a_lost_update_shrinks_to_one_switch():
    assert find(schedules(), loses, settings=QUICK) == Schedule((2, 0))


def test_what_needs_two_switches_shrinks_to_two():
    """From whatever was found first. Two of these ended with four, by gaps alone."""

    def loses_two(schedule):
        tally = Atom(0)
        run_interleaved(schedule, *bodies(*[(add_badly, tally)] * 3))
        return tally.deref() == 1

    enough = settings(QUICK, max_examples=2000)
    for seed in (0, 1, 4, 49):
        found = find(schedules(), loses_two, random=Random(seed), settings=enough)
        assert len(found.switches) == 2, (seed, found)


def test_one_of_three_threads_shrinks_too():
    def third_reads_first(schedule):
        tally = Atom(0)
        order = []
        for_each = [lambda n=n: order.append((tally.deref(), n)) for n in range(3)]
        run_interleaved(schedule, *for_each)
        return order[0][1] == 2

    assert find(schedules(), third_reads_first, settings=QUICK) == Schedule((0, 1))


@settings(max_examples=60, database=None, deadline=None)
@given(schedules())
def test_transactions_are_right_under_any(schedule):
    one, other = Ref(5), Ref(5)
    work = [(transfer, one, other), (total, one, other), (transfer, other, one)]
    run = run_interleaved(schedule, *bodies(*work))
    assert run.results[1] == 10
    assert (one.deref(), other.deref()) == (5, 5)


@settings(max_examples=60, database=None, deadline=None)
@given(priorities(length=40))
def test_transactions_are_right_under_any_priorities(schedule):
    one, other = Ref(5), Ref(5)
    work = [(transfer, one, other), (total, one, other), (transfer, other, one)]
    assert run_interleaved(schedule, *bodies(*work)).results[1] == 10


def test_priorities_find_a_lost_update():
    """With two events in order: one run in about ``threads * length`` finds it."""
    assert sum(loses(Priorities(seed, 2, 6)) for seed in range(100)) >= 100 / 12


def test_priorities_of_depth_one_never_preempt():
    assert not any(loses(Priorities(seed, 1, 6)) for seed in range(50))


@pytest.mark.parametrize(
    "one", [Schedule(), Schedule((3, 0), (0, 12)), Priorities(7), Priorities(1, 2, 3)]
)
def test_a_repr_makes_it_again(one):
    again = eval(repr(one))
    assert again == one == copy.copy(one) == pickle.loads(pickle.dumps(one))
    assert hash(again) == hash(one)


def test_they_differ_by_what_they_say():
    assert Schedule((1, 0)) != Schedule((1, 1)) != ((1, 1),)
    assert Priorities(1) != Priorities(2) != 2
    assert (Priorities(1).seed, Priorities(1, 2).depth) == (1, 2)
    assert Priorities(1, 2, 5).length == 5


def test_they_never_change():
    with pytest.raises(AttributeError, match="never changes"):
        Schedule().switches = ()
    with pytest.raises(AttributeError):
        del Schedule().switches
    with pytest.raises(AttributeError):
        Priorities(1).seed = 2


@pytest.mark.parametrize("pair", [1, (1,), (1, -1), (True, 0), [1, 0], (1.0, 0)])
def test_no_switches(pair):
    with pytest.raises(TypeError, match="must be a pair"):
        Schedule(pair)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Priorities(-1),
        lambda: Priorities(1, 0),
        lambda: Priorities(1, 1, 0),
        lambda: priorities(depth=0),
        lambda: schedules(switches=-1),
        lambda: schedules(gap=0.5),
    ],
)
def test_no_numbers(make):
    with pytest.raises(ValueError, match="whole number"):
        make()
