"""Guarantee 2: strictly serializable by default, across refs and atoms.

What must not happen is in tests/phenomena; random histories, which also show
cycles of three and more, are in tests/histories.
"""

from __future__ import annotations

import threading

import pytest
from helpers import (
    CELLS,
    FORMS,
    ISOLATIONS,
    RERUN_FORMS,
    Attempts,
    Snapshot,
    commit,
    elsewhere,
    put,
    run_threads,
    start,
    transact,
    wait,
)
from interrupts import preempted_at_each_opcode, stopped_once, within

from atomos import Atom, Ref, atomically, dosync
from atomos.errors import IsolationError
from atomos.stm._cell import latest

PAIRS = [(a, b) for a in CELLS for b in CELLS]


@pytest.mark.parametrize("kinds", PAIRS)
def test_what_has_ended_is_seen_by_what_begins(kinds, often):
    """Strict: the order agrees with real time, across threads and cells."""
    x, y = (CELLS[kind](0) for kind in kinds)

    def step(mine, other):
        for n in range(100):
            commit(mine, n)
            assert mine.deref() == n
            assert atomically(mine.deref) == n
            with dosync(read_only=True):
                assert mine.deref() == n
                other.deref()

    run_threads(lambda: step(x, y), lambda: step(y, x))


@pytest.mark.parametrize("form", RERUN_FORMS)
def test_a_read_only_anomaly_does_not_happen(form):
    """Fekete, O'Neil, O'Neil 2004: a reader between two writers sees the impossible.

    A withdrawal that overdraws costs a fee, unless the deposit came first. The
    reader sees the deposit but not the withdrawal, so there must be no fee.
    """
    checking, savings, tries, seen = Ref(0), Ref(0), Attempts(), []

    def look():
        return checking.deref(), savings.deref()

    def withdraw():
        tries.begin()
        total = checking.deref() + savings.deref()
        tries.once(commit, savings, 20)
        if tries.count == 1:
            seen.append(elsewhere(transact, form, look))
        checking.set(-10 if total >= 10 else -11)

    transact(form, withdraw)
    assert seen == [(0, 20)]
    assert look() == (-10, 20), "the fee was taken although the deposit came first"
    assert tries.count == 2


@pytest.mark.parametrize("form", RERUN_FORMS)
def test_a_read_only_anomaly_is_possible_with_snapshot(form):
    checking, savings, tries = Ref(0), Ref(0), Attempts()

    def withdraw():
        tries.begin()
        total = checking.deref() + savings.deref()
        tries.once(commit, savings, 20)
        checking.set(-10 if total >= 10 else -11)

    transact(form, withdraw, isolation="snapshot")
    assert (checking.deref(), tries.count) == (-11, 1)


@pytest.mark.parametrize("kinds", PAIRS)
def test_a_read_is_validated_even_when_its_value_came_back(kinds):
    """A-B-A: the value is equal again, but it was another one in between."""
    x, y = (CELLS[kind](0) for kind in kinds)
    tries = Attempts()

    def away_and_back():
        commit(x, 1)
        commit(x, 0)

    @dosync
    def body():
        tries.begin()
        seen = x.deref()
        tries.once(away_and_back)
        put(y, seen)

    body()
    assert tries.count == 2


@pytest.mark.parametrize("first_read", [True, False])
def test_a_transaction_that_only_writes_is_not_run_again(first_read):
    x, tries = Ref(0), Attempts()

    @dosync
    def body():
        tries.begin()
        if first_read:
            x.deref()
        x.set(2)
        tries.once(commit, x, 1)

    body()
    assert x.deref() == 2
    assert tries.count == (2 if first_read else 1)


def test_commutes_do_not_disturb_each_other():
    x, tries = Ref(0), Attempts()

    @dosync
    def body():
        tries.begin()
        x.commute(lambda n: n + 1)
        tries.once(dosync(lambda: x.commute(lambda n: n + 10)))
        tries.once(commit, x, 100)

    body()
    assert x.deref() == 101
    assert tries.count == 1


@pytest.mark.parametrize("isolation", [None, "serializable", "snapshot"])
def test_a_commute_that_is_read_is_an_ordinary_write(isolation):
    x, tries = Ref(0), Attempts()

    @dosync(isolation=isolation)
    def body():
        tries.begin()
        x.commute(lambda n: n + 1)
        seen = x.deref()
        tries.once(commit, x, 10)
        return seen

    assert body() == 11
    assert (x.deref(), tries.count) == (11, 2)


def test_commute_after_a_read_or_a_write():
    x, tries = Ref(0), Attempts()

    @dosync
    def body():
        tries.begin()
        x.deref()
        x.commute(lambda n: n + 1)
        tries.once(commit, x, 10)

    body()
    assert (x.deref(), tries.count) == (11, 2)

    @dosync
    def write_then_commute():
        x.set(100)
        x.commute(lambda n: n + 1)
        x.commute(lambda n: n * 2)
        return x.deref()

    assert write_then_commute() == 202 == x.deref()


@pytest.mark.parametrize("kind", CELLS)
def test_snapshot_a_commuted_ref_and_a_read_one(kind):
    x, y, tries = Ref(0), CELLS[kind](0), Attempts()

    @dosync
    def body():
        tries.begin()
        x.commute(lambda n: n + y_seen)

    @dosync
    def reading():
        nonlocal y_seen
        y_seen = y.deref()
        body()
        tries.once(commit, y, 5)

    y_seen = 0
    reading()
    assert (x.deref(), tries.count) == (5, 2)


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_a_read_is_validated_by_a_commit_that_takes_its_turn(isolation):
    """Driven back again and again it holds all; what it read has changed before."""
    x, y, tries, calls = Ref(0), Ref(0), Attempts(), []

    def fn(value, seen):
        calls.append(value)
        if len(calls) <= 4:
            elsewhere(commit, y, 10 * len(calls))  # so `value` is outdated
        if len(calls) == 4:
            elsewhere(commit, x, 1)
        return value + seen

    @dosync(isolation=isolation)
    def body():
        tries.begin()
        y.commute(fn, x.ensure())

    body()
    assert y.deref() == 41, "it was computed with an x that is gone"
    assert tries.count == 2


class Writers:
    """Each way to commit "new" on a cell."""

    def __init__(self, cell):
        self.cell = cell
        self.others = [Ref(0), Ref(0)]

    def alone(self):
        self.cell.reset("new")

    def one(self):
        commit(self.cell, "new")

    def two(self):
        commit(self.cell, "new", self.others[0], "new")

    def second_of_two(self):
        commit(self.others[0], "new", self.cell, "new")

    def three(self):
        commit(self.cell, "new", *[x for cell in self.others for x in (cell, 1)])


@pytest.mark.parametrize("way", ["two", "second_of_two", "three"])
def test_a_read_while_a_commit_is_finished_is_not_of_the_past(way):
    """It begins while the new version is undecided; older ones are kept, too."""

    def scenario():
        cell = Atom("oldest")
        linked, go = threading.Event(), threading.Event()
        snapshot = Snapshot()
        commit(cell, "old")

        def pause():
            linked.set()
            wait(go)

        def write():
            stopped_once(
                getattr(Writers(cell), way),
                lambda frame: cell._newest.number == 0,
                pause,
            )

        writer = start(write)
        wait(linked)

        def finish():
            go.set()
            writer.join()

        def check(seen, _):
            assert seen in ("old", "new")
            assert cell.deref() == "new"
            assert snapshot.read(cell) == "oldest"
            snapshot.close()

        return cell.deref, finish, check

    assert preempted_at_each_opcode(scenario, within(latest)) > 10


# Nested isolation


@pytest.mark.parametrize("inner", FORMS)
@pytest.mark.parametrize("outer", RERUN_FORMS)
def test_a_nested_call_may_not_ask_for_more(outer, inner):
    ref, ran = Ref(0), []

    def body():
        ref.set(1)
        transact(inner, lambda: ran.append(1), isolation="serializable")

    with pytest.raises(IsolationError, match="serializable"):
        transact(outer, body, isolation="snapshot")
    assert not ran
    assert ref.deref() == 0, "nothing was written"


@pytest.mark.parametrize("inner", FORMS)
def test_the_error_can_be_caught_and_the_outer_one_goes_on(inner):
    ref = Ref(0)

    @dosync(isolation="snapshot")
    def body():
        try:
            transact(inner, lambda: ref.set(1), isolation="serializable")
        except IsolationError:
            ref.set(2)

    body()
    assert ref.deref() == 2


@pytest.mark.parametrize("inner", FORMS)
@pytest.mark.parametrize("outer", FORMS)
def test_a_nested_call_that_asks_for_less_changes_nothing(outer, inner):
    x, y, tries = Ref(0), Ref(0), Attempts()
    rerun = outer != "block"

    def body():
        tries.begin()

        def nested():
            x.deref()
            if rerun:
                tries.once(commit, x, 1)
            y.set(x.deref())

        transact(inner, nested, isolation="snapshot")

    transact(outer, body)
    # Serializable still: what the snapshot read has changed, so it ran again.
    assert tries.count == (2 if rerun else 1)
    assert y.deref() == x.deref()


@pytest.mark.parametrize("isolation", [None, "snapshot"])
def test_a_nested_call_inherits(isolation):
    """A nested call that names no isolation can be in any transaction."""
    x, y = Ref(0), Atom(0)

    @dosync(isolation="snapshot")
    def body():
        transact("decorator", lambda: x.set(1), isolation=isolation)
        transact("block", lambda: y.reset(1), isolation=isolation)

    body()
    assert (x.deref(), y.deref()) == (1, 1)


def test_ensure_counts_for_a_commute_after_it():
    a, b, tries = Ref(True), Ref(True), Attempts()

    @dosync(isolation="snapshot")
    def body():
        tries.begin()
        if a.ensure():
            tries.once(commit, a, False)
            a.commute(lambda value: value)
            b.set("a was true")

    body()
    assert (a.deref(), b.deref(), tries.count) == (False, True, 2)
