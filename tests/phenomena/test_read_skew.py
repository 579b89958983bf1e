"""Read skew: of two cells that change together, one is seen old and one new."""

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
    start,
    transact,
)

from atomos import Ref, dosync

PAIRS = [(a, b) for a in CELLS for b in CELLS]


@pytest.mark.parametrize("kinds", PAIRS)
def test_possible_with_bare_derefs(kinds):
    a, b = (CELLS[kind](0) for kind in kinds)
    seen = a.deref()
    elsewhere(commit, a, 1, b, 1)
    assert (seen, b.deref()) == (0, 1)


@pytest.mark.parametrize("isolation", ISOLATIONS)
@pytest.mark.parametrize("kinds", PAIRS)
@pytest.mark.parametrize("form", RERUN_FORMS)
def test_impossible_for_a_reader(form, kinds, isolation):
    a, b = (CELLS[kind](0) for kind in kinds)
    tries = Attempts()

    def body():
        tries.begin()
        seen = a.deref()
        elsewhere(commit, a, 1, b, 1)
        return seen, b.deref(), a.deref()

    assert transact(form, body, isolation=isolation) == (0, 0, 0)
    assert tries.count == 1


@pytest.mark.parametrize("kinds", PAIRS)
@pytest.mark.parametrize("form", FORMS)
def test_impossible_when_read_only(form, kinds):
    a, b = (CELLS[kind](0) for kind in kinds)

    def body():
        seen = a.deref()
        elsewhere(commit, a, 1, b, 1)
        return seen, b.deref(), a.deref()

    assert transact(form, body, read_only=True) == (0, 0, 0)


@pytest.mark.parametrize("wrote_already", [False, True])
@pytest.mark.parametrize("isolation", ISOLATIONS)
@pytest.mark.parametrize("kinds", PAIRS)
def test_impossible_for_a_writer(kinds, isolation, wrote_already):
    a, b = (CELLS[kind](0) for kind in kinds)
    c, tries, seen = Ref(None), Attempts(), []

    @dosync(isolation=isolation)
    def body():
        tries.begin()
        if wrote_already:
            c.set("first")
        first = a.deref()
        tries.once(commit, a, 1, b, 1)
        seen.append((first, b.deref()))
        c.set(seen[-1])

    body()
    assert set(seen) <= {(0, 0), (1, 1)}
    assert c.deref() == seen[-1]
    if isolation == "serializable":
        assert seen[-1] == (1, 1)
        assert tries.count == 2
    else:
        assert seen == [(0, 0)]


@pytest.mark.parametrize("kinds", PAIRS)
def test_impossible_in_a_plain_block(kinds):
    a, b = (CELLS[kind](0) for kind in kinds)
    with dosync():
        seen = a.deref()
        other = start(commit, a, 1, b, 1)
        assert (seen, b.deref(), a.deref()) == (0, 0, 0)
    other.join()
    assert (a.deref(), b.deref()) == (1, 1)


def test_impossible_in_a_plain_block_that_meets_a_commit_in_between():
    """What it has not touched yet may change: what it sees is newest then."""
    a, b, c = Ref(0), Ref(0), Ref(0)
    with dosync():
        assert c.deref() == 0
        elsewhere(commit, a, 1, b, 1)
        assert (a.deref(), b.deref()) == (1, 1)


@pytest.mark.parametrize("form", RERUN_FORMS)
def test_own_writes_are_seen_and_do_not_disturb(form):
    a, b, tries = Ref(0), Ref(0), Attempts()

    def body():
        tries.begin()
        put(a, 5)
        tries.once(commit, b, 1)
        return a.deref(), b.deref()

    assert transact(form, body) == (5, 1)
    assert tries.count == 1, "nothing that it had read has changed"
