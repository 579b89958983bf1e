"""Lost update: two read the same value, both write, one write is overwritten."""

from __future__ import annotations

import threading

import pytest
from helpers import (
    CELLS,
    FORMS,
    ISOLATIONS,
    RERUN_FORMS,
    Attempts,
    change,
    commit,
    done_or_blocked,
    elsewhere,
    put,
    run_threads,
    start,
    transact,
    wait,
)
from interrupts import Opcodes, stopped_once, within

from atomos import Atom, Ref, atomically
from atomos.stm._hold import wait_until_free


def add(n, amount=1):
    return n + amount


@pytest.mark.parametrize("kind", CELLS)
def test_possible_across_two_transactions(kind):
    a = CELLS[kind](0)
    seen = a.deref()
    elsewhere(commit, a, 10)
    commit(a, seen + 1)
    assert a.deref() == 1, "each call is its own transaction: the 10 is lost"


@pytest.mark.parametrize("isolation", ISOLATIONS)
@pytest.mark.parametrize("form", RERUN_FORMS)
@pytest.mark.parametrize("kind", CELLS)
def test_impossible_in_one_transaction(kind, form, isolation):
    a, tries = CELLS[kind](0), Attempts()

    def body():
        tries.begin()
        seen = a.deref()
        tries.once(commit, a, 10)
        put(a, seen + 1)

    transact(form, body, isolation=isolation)
    assert a.deref() == 11
    assert tries.count == 2


@pytest.mark.parametrize("isolation", ISOLATIONS)
@pytest.mark.parametrize("kind", CELLS)
def test_impossible_when_the_other_comes_after_the_write(kind, isolation):
    a, tries = CELLS[kind](0), Attempts()

    def body():
        tries.begin()
        change(a, add)
        tries.once(commit, a, 10)
        change(a, add)

    transact("decorator", body, isolation=isolation)
    assert a.deref() == 12
    assert tries.count == 2


@pytest.mark.parametrize("kind", CELLS)
def test_a_plain_block_makes_the_other_wait(kind):
    a, tries = CELLS[kind](0), Attempts()

    def body():
        tries.begin()
        seen = a.deref()
        other = start(atomically, lambda: change(a, add, 10))
        put(a, seen + 1)
        return other

    transact("block", body).join()
    assert a.deref() == 11
    assert tries.count == 1


@pytest.mark.parametrize("kind", CELLS)
def test_an_atom_or_block_elsewhere_is_noticed_too(kind):
    a, tries = CELLS[kind](0), Attempts()

    def by_block():
        transact("block", lambda: change(a, add, 10))

    def body():
        tries.begin()
        seen = a.deref()
        tries.once(by_block if kind == "ref" else lambda: a.swap(add, 10))
        put(a, seen + 1)

    atomically(body)
    assert a.deref() == 11
    assert tries.count == 2


def test_a_swap_outside_runs_again():
    a, calls = Atom(0), []

    def slowly(n):
        calls.append(n)
        if len(calls) == 1:
            elsewhere(a.reset, 10)
        return n + 1

    assert a.swap(slowly) == 11
    assert calls == [0, 10]


@pytest.mark.parametrize("form", FORMS)
def test_counting_together(form, often):
    refs = [Ref(0), Atom(0)]
    rounds = 60

    def count():
        for _ in range(rounds):
            transact(form, lambda: [change(cell, add) for cell in refs])

    def tally():
        for _ in range(rounds):
            refs[1].swap(add)

    run_threads(count, count, count, tally)
    assert [cell.deref() for cell in refs] == [3 * rounds, 4 * rounds]


def test_impossible_when_an_atom_alone_meets_a_commit_under_way():
    """What a commit has linked, and will decide, is not taken for left over."""

    n, met = 0, True
    while met:
        n += 1
        atom, read, calls = Atom(0), Ref(0), []
        linked, go, writers = threading.Event(), threading.Event(), []

        def outdated(value, atom=atom, calls=calls):
            calls.append(value)
            if len(calls) <= 3:  # so it has to clear its way, and try again
                elsewhere(atom.swap, add, 100)
            return value + 1

        def link(atom=atom, read=read, linked=linked, go=go):
            def pause():
                linked.set()
                wait(go)

            stopped_once(
                lambda: atomically(lambda: (atom.swap(add, 10), read.deref())),
                lambda frame: atom._newest.number == 0,
                pause,
            )

        def act(link=link, linked=linked, writers=writers):
            writers.append(start(link))
            wait(linked)

        tracer = Opcodes(n, act, within(wait_until_free))
        alone = start(tracer.run, lambda atom=atom, fn=outdated: atom.swap(fn))
        done_or_blocked(alone)
        go.set()
        alone.join()
        met = tracer.where is not None
        if met:
            writers[0].join()
            assert atom.deref() == 311, tracer.where
    assert n > 5


def test_impossible_when_a_swap_alone_meets_a_block_that_has_read():
    """The block took hold of the atom while the function of the swap ran."""
    atom, read, go, jobs = Atom(0), threading.Event(), threading.Event(), []
    for _ in range(2):  # the first one is noted as seen by a snapshot
        atom.reset(0)

    def block():
        seen = atom.deref()
        read.set()
        wait(go)
        atom.reset(seen + 10)

    def slow(value):
        if not jobs:
            jobs.append(start(transact, "block", block))
            wait(read)
        return value + 1

    alone = start(atom.swap, slow)
    wait(read)
    done_or_blocked(alone)
    assert atom.deref() == 0, "it waits for the block"
    go.set()
    jobs[0].join()
    alone.join()
    assert atom.deref() == 11
