"""Guarantee 3: an attempt that cannot commit still sees a consistent state."""

from __future__ import annotations

import random

import pytest
from helpers import (
    CELLS,
    ISOLATIONS,
    RERUN_FORMS,
    Attempts,
    change,
    commit,
    elsewhere,
    put,
    run_threads,
    start,
    transact,
)
from interrupts import preempted_at_each_opcode, within

from atomos import Atom, Ref, dosync
from atomos.stm._transaction import Transaction

PAIRS = [(a, b) for a in CELLS for b in CELLS]


@pytest.mark.parametrize("moment", ["before", "after the first write", "after both"])
@pytest.mark.parametrize("isolation", ISOLATIONS)
@pytest.mark.parametrize("kinds", PAIRS)
@pytest.mark.parametrize("form", RERUN_FORMS)
def test_the_invariant_holds_in_each_attempt(form, kinds, isolation, moment):
    """a == b is never seen broken, though both change between the two reads."""
    a, b = (CELLS[kind](0) for kind in kinds)
    c, d, tries, states = Ref(0), Atom(0), Attempts(), []

    def body():
        tries.begin()
        if moment != "before":
            c.set(1)
        if moment == "after both":
            d.reset(1)
        first = a.deref()
        if tries.count <= 3:
            elsewhere(commit, a, tries.count, b, tries.count)
        states.append((first, b.deref()))
        c.set(states[-1][0])

    transact(form, body, isolation=isolation)
    assert states
    assert all(one == other for one, other in states), states


@pytest.mark.parametrize("kinds", PAIRS)
def test_what_is_first_read_after_a_write_agrees_with_what_was_read_before(kinds):
    a, b = (CELLS[kind](0) for kind in kinds)
    own, states, tries = Ref(0), [], Attempts()

    @dosync
    def body():
        tries.begin()
        first = a.deref()
        own.set(first)
        tries.once(commit, a, 1, b, 1)
        states.append((first, b.deref()))

    body()
    assert states == [(1, 1)], "the first attempt ended before it saw b"
    assert tries.count == 2


@pytest.mark.parametrize("kinds", PAIRS)
def test_what_changes_while_an_attempt_looks_again_at_what_it_has_read(kinds):
    """It moves its read point forward: what changes meanwhile is beyond that."""

    def scenario():
        a, b = (CELLS[kind](0) for kind in kinds)
        c, own, tries, states = Ref(0), Ref(0), Attempts(), []

        @dosync
        def body():
            tries.begin()
            first = a.deref()
            own.set(first)
            tries.once(commit, c, 1)
            c.deref()
            states.append((first, b.deref()))

        def check(*_):
            assert all(one == other for one, other in states), states

        return body, lambda: commit(a, 1, b, 1), check

    assert preempted_at_each_opcode(scenario, within(Transaction._extend)) > 10


def test_a_doomed_attempt_that_goes_on_sees_nothing_impossible():
    """Its signal is swallowed: each further read raises, or agrees."""
    a, b, c = Ref(0), Ref(0), Ref(0)
    tries, states = Attempts(), []

    def look(ref):
        try:
            return ref.deref()
        except BaseException:
            return None

    @dosync
    def body():
        tries.begin()
        first = a.deref()
        c.set(1)
        tries.once(commit, a, 1, b, 1)
        for _ in range(3):
            states.append((first, look(b)))
        states.append((first, look(a)))

    body()
    assert tries.count == 2
    assert {first for first, _ in states} == {0, 1}
    assert all(second in (first, None) for first, second in states), states


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_a_read_for_writing_is_not_from_the_past(isolation):
    """What was read old cannot be written: the attempt ends at the write."""
    a, b, tries, seen = Ref(0), Ref(0), Attempts(), []

    @dosync(isolation=isolation)
    def body():
        tries.begin()
        a.deref()
        tries.once(commit, a, 1, b, 1)
        seen.append(b.deref())
        b.set(seen[-1] + 1)
        seen.append("written")

    body()
    assert b.deref() == 2
    assert seen == [0, 1, "written"]


def test_a_commute_is_computed_on_what_was_committed():
    a, b, tries = Ref(0), Ref(0), Attempts()
    inputs = []

    def fn(value, seen):
        inputs.append((value, seen))
        return value + 1

    @dosync
    def body():
        tries.begin()
        seen = a.deref()
        b.commute(fn, seen)
        tries.once(commit, a, 1, b, 1)

    body()
    assert (b.deref(), inputs[-1]) == (2, (1, 1))


def test_in_a_plain_block_all_is_newest():
    a, b, c = Ref(0), Ref(0), Ref(0)
    with dosync():
        first = a.deref()
        other = start(commit, a, 1, b, 1)
        elsewhere(commit, c, 1)
        assert (first, b.deref()) == (0, 0)
        assert c.deref() == 1
    other.join()
    assert (a.deref(), b.deref()) == (1, 1)


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_never_when_many_meet(isolation, often):
    """All cells hold one number; each body divides by zero if it sees two."""
    cells = [CELLS[kind](0) for kind in ("ref", "atom") * 3]
    rounds = 80

    def work(seed):
        rng = random.Random(seed)

        @dosync(isolation=isolation)
        def step():
            order = rng.sample(cells, len(cells))
            first = order[0].deref()
            if rng.random() < 0.5:
                change(order[0], lambda n: n + 1)
                for cell in order[1:]:
                    assert change(cell, lambda n: n + 1) == first + 1
            else:
                for cell in order[1:]:
                    1 // (cell.deref() == first)

        for _ in range(rounds):
            step()

    def blocks():
        for _ in range(rounds // 4):
            with dosync():
                n = cells[2].deref()
                for cell in cells:
                    assert cell.deref() == n
                    put(cell, n + 1)

    run_threads(lambda: work(1), lambda: work(2), lambda: work(3), blocks)
    assert len({cell.deref() for cell in cells}) == 1
