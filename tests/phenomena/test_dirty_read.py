"""Dirty read: a value is seen that was never committed, or not yet.

Also its relatives: an intermediate value is seen, and the dirty write, where
two transactions each leave a part of what they wrote.
"""

from __future__ import annotations

import pytest
from helpers import (
    CELLS,
    FORMS,
    ISOLATIONS,
    RERUN_FORMS,
    Attempts,
    commit,
    elsewhere,
    put,
    run_threads,
    transact,
)

from atomos import Atom, Ref, atomically, dosync


class Enough(Exception):
    pass


def looks(cell):
    """Read it outside, in a transaction, and in a read_only one."""
    return [
        cell.deref(),
        atomically(cell.deref),
        transact("loop", cell.deref),
        transact("block", cell.deref, read_only=True),
    ]


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("form", FORMS)
def test_a_write_is_not_seen_before_the_commit(form, kind):
    a, seen = CELLS[kind]("old"), []

    def body():
        put(a, "new")
        assert a.deref() == "new"
        seen.extend(elsewhere(looks, a))

    transact(form, body)
    assert seen == ["old"] * 4
    assert looks(a) == ["new"] * 4


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("form", FORMS)
def test_a_write_that_is_given_up_is_never_seen(form, kind):
    a = CELLS[kind]("old")

    def body():
        put(a, "never")
        assert elsewhere(looks, a) == ["old"] * 4
        raise Enough

    with pytest.raises(Enough):
        transact(form, body)
    assert looks(a) == ["old"] * 4


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("form", FORMS)
def test_an_intermediate_value_is_never_seen(form, kind):
    a = CELLS[kind]("old")

    def body():
        put(a, "halfway")
        assert elsewhere(looks, a) == ["old"] * 4
        put(a, "new")

    transact(form, body)
    assert looks(a) == ["new"] * 4


@pytest.mark.parametrize("isolation", ISOLATIONS)
@pytest.mark.parametrize("form", RERUN_FORMS)
def test_what_a_lost_attempt_wrote_is_never_seen(form, isolation):
    a, b, tries, seen = Ref(0), Ref("old"), Attempts(), []

    def body():
        tries.begin()
        a.alter(lambda n: n + 1)
        b.set(tries.count)
        tries.once(commit, a, 10)
        if tries.count > 1:
            seen.extend(elsewhere(looks, b))

    transact(form, body, isolation=isolation)
    assert seen == ["old"] * 4
    assert (a.deref(), b.deref()) == (11, 2)


def test_a_validator_runs_before_anybody_can_see_the_value():
    a, seen = Ref("old"), []
    a.set_validator(lambda value: seen.append(elsewhere(a.deref)) or True)
    seen.clear()
    atomically(a.set, "new")
    assert seen == ["old"]
    assert a.deref() == "new"


def test_a_watch_runs_when_everybody_can_see_the_value():
    a, seen = Ref("old"), []
    a.add_watch("look", lambda key, ref, old, new: seen.extend(elsewhere(looks, ref)))
    atomically(a.set, "new")
    assert seen == ["new"] * 4


@pytest.mark.parametrize("isolation", ISOLATIONS)
@pytest.mark.parametrize("kinds", [(a, b) for a in CELLS for b in CELLS])
def test_no_dirty_write(kinds, isolation):
    """Both write both cells: in the end both come from the same one."""
    a, b = (CELLS[kind]("nobody") for kind in kinds)
    tries = Attempts()

    @dosync(isolation=isolation)
    def body():
        tries.begin()
        put(a, "one")
        tries.once(commit, b, "two", a, "two")
        put(b, "one")

    body()
    assert (a.deref(), b.deref()) == ("one", "one")


@pytest.mark.parametrize("form", FORMS)
def test_no_dirty_write_when_many_meet(form, often):
    a, b, rounds = Ref((0, 0)), Atom((0, 0)), 40
    pairs = []

    def writer(who):
        def body(n):
            cells = [a, b] if who % 2 else [b, a]
            for cell in cells:
                put(cell, (who, n))

        for n in range(rounds):
            transact(form, lambda n=n: body(n))

    def reader():
        for _ in range(rounds):
            pairs.append(atomically(lambda: (a.deref(), b.deref())))

    run_threads(lambda: writer(1), lambda: writer(2), reader)
    assert all(one == other for one, other in pairs)
    assert a.deref() == b.deref()
    assert a.deref()[1] == rounds - 1
