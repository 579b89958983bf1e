"""Long fork: two see two independent writes in opposite orders."""

from __future__ import annotations

import pytest
from helpers import (
    CELLS,
    FORMS,
    ISOLATIONS,
    RERUN_FORMS,
    Parked,
    commit,
    elsewhere,
    run_threads,
    transact,
)

from atomos import Atom, Ref, atomically, dosync

PAIRS = [(a, b) for a in CELLS for b in CELLS]


@pytest.mark.parametrize("kinds", PAIRS)
def test_possible_with_bare_derefs(kinds):
    x, y = (CELLS[kind](0) for kind in kinds)
    # One reads x, then y; the other one reads y, then x.
    one_x = x.deref()
    two_y = y.deref()
    elsewhere(commit, x, 1)
    elsewhere(commit, y, 1)
    one, two = (one_x, y.deref()), (x.deref(), two_y)
    assert (one, two) == ((0, 1), (1, 0))


@pytest.mark.parametrize("isolation", ISOLATIONS)
@pytest.mark.parametrize("kinds", PAIRS)
@pytest.mark.parametrize("form", RERUN_FORMS)
def test_impossible(form, kinds, isolation):
    x, y = (CELLS[kind](0) for kind in kinds)

    def other():
        return x.deref(), y.deref()

    def body():
        first = x.deref()
        elsewhere(commit, x, 1)
        seen = elsewhere(transact, form, other)
        elsewhere(commit, y, 1)
        return (first, y.deref()), seen

    mine, others = transact(form, body, isolation=isolation)
    assert others == (1, 0)
    assert mine == (0, 0), "x is old here, so y must be old too"


@pytest.mark.parametrize("form", FORMS)
def test_impossible_when_read_only(form):
    x, y = Ref(0), Atom(0)

    def body():
        first = x.deref()
        elsewhere(commit, x, 1)
        elsewhere(y.reset, 1)
        return first, y.deref()

    assert transact(form, body, read_only=True) == (0, 0)


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_two_parked_readers(isolation):
    """Both are open when the writes happen; each looks at the other one first."""
    x, y = Ref(0), Ref(0)

    def reader(first, second):
        @dosync(isolation=isolation)
        def body(park):
            seen = first.deref()
            park()
            return seen, second.deref()

        return Parked(body)

    one = reader(x, y)
    elsewhere(commit, x, 1)
    two = reader(y, x)
    elsewhere(commit, y, 1)
    assert one.finish() == (0, 0)
    assert two.finish() == (0, 1), "y is old, x is new: only x was written then"


@pytest.mark.parametrize("isolation", ISOLATIONS)
@pytest.mark.parametrize("kinds", PAIRS)
def test_never_when_many_meet(kinds, isolation, often):
    x, y = (CELLS[kind](0) for kind in kinds)
    rounds, looks = 80, 120

    def writer(cell):
        for n in range(1, rounds + 1):
            commit(cell, n)

    def reader(cells):
        @dosync(isolation=isolation)
        def look():
            seen = {id(cell): cell.deref() for cell in cells}
            return seen[id(x)], seen[id(y)]

        return [look() for _ in range(looks)]

    seen = run_threads(
        lambda: writer(x),
        lambda: writer(y),
        lambda: reader([x, y]),
        lambda: reader([y, x]),
    )
    # All snapshots of both readers must lie on one line: sorted by x, the y
    # must not decrease.
    states = sorted(set(seen[2]) | set(seen[3]))
    ys = [state[1] for state in states]
    assert ys == sorted(ys)
    assert atomically(lambda: (x.deref(), y.deref())) == (rounds, rounds)
