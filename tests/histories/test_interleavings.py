"""One transaction is stopped at each point, and another one runs meanwhile.

These are all schedules in which one thread is interrupted once. Whatever they
do, the outcome must be that of one after the other.
"""

from __future__ import annotations

import pytest
from helpers import change, put, transact
from interrupts import preempted_at_each_point

from atomos import Atom, Ref


class Cells:
    """Two refs, two atoms, and transactions that use them."""

    def __init__(self):
        self.x, self.y = Ref(1), Ref(10)
        self.a, self.b = Atom(100), Atom(1000)

    def state(self):
        return tuple(cell.deref() for cell in (self.x, self.y, self.a, self.b))

    def transfer(self):
        """Two cells, read and written: they have a short way of their own."""
        change(self.x, lambda n: n + 1)
        change(self.y, lambda n: n * 2)
        return self.x.deref()

    def transfer_back(self):
        change(self.y, lambda n: n + 5)
        change(self.x, lambda n: n * 3)

    def mixed(self):
        change(self.a, lambda n: n + self.x.deref())
        put(self.x, 7)

    def skew_xy(self):
        put(self.y, self.x.deref() + 1)

    def skew_yx(self):
        put(self.x, self.y.deref() * 2)

    def skew_ab(self):
        put(self.b, self.a.deref() + self.x.deref())

    def skew_ba(self):
        put(self.a, self.b.deref() * 2 + self.x.deref())

    def blind(self):
        put(self.x, 0)
        put(self.y, 0)
        put(self.a, 0)

    def blind_back(self):
        put(self.a, 5)
        put(self.y, 5)
        put(self.x, 5)

    def commuted(self):
        self.x.commute(lambda n: n + 1)
        self.y.commute(lambda n: n * 2)

    def commuted_and_read(self):
        self.x.commute(lambda n: n * 2)
        put(self.b, self.y.deref())

    def read(self):
        return self.state()

    def read_backwards(self):
        seen = [cell.deref() for cell in (self.b, self.a, self.y, self.x)]
        return tuple(seen)

    def written_then_read(self):
        """Opacity: what it reads after it has written agrees."""
        put(self.b, 1)
        return self.x.deref(), self.y.deref(), self.a.deref()

    def alone(self):
        """Not in a transaction: see `run`."""
        return self.a.swap(lambda n: n * 2)


BODIES = [
    "transfer",
    "transfer_back",
    "mixed",
    "skew_xy",
    "skew_yx",
    "skew_ab",
    "skew_ba",
    "blind",
    "blind_back",
    "commuted",
    "commuted_and_read",
    "read",
    "read_backwards",
    "written_then_read",
    "alone",
]


#: Those that come in between, one of each kind.
OTHERS = ["transfer_back", "skew_yx", "skew_ba", "commuted", "read_backwards", "alone"]


def run(cells, name, form, **options):
    body = getattr(cells, name)
    return body() if name == "alone" else transact(form, body, **options)


def serial_outcomes(one, other):
    """Return results and state of one after the other, in both orders."""
    outcomes = set()
    for order in ((0, 1), (1, 0)):
        cells, results = Cells(), {}
        for i in order:
            results[i] = run(cells, (one, other)[i], "decorator")
        outcomes.add((results[0], results[1], cells.state()))
    return outcomes


def explore(one, form, other, other_form, watched=False):
    allowed = serial_outcomes(one, other)

    def scenario():
        cells = Cells()
        if watched:
            for cell in (cells.x, cells.y, cells.a, cells.b):
                cell.set_validator(lambda value: True)

        def check(result, others):
            assert (result, others, cells.state()) in allowed
            cells.x._check()
            cells.y._check()
            run(cells, "blind", "decorator")
            assert cells.x.history_count == cells.y.history_count == 0

        return (
            lambda: run(cells, one, form),
            lambda: run(cells, other, other_form),
            check,
        )

    return preempted_at_each_point(scenario)


@pytest.mark.parametrize("one", BODIES)
def test_functions(one):
    for other in OTHERS:
        assert explore(one, "decorator", other, "function") > 1


@pytest.mark.parametrize("watched", [False, True], ids=["", "with validators"])
@pytest.mark.parametrize(
    ("form", "other_form"),
    [
        ("block", "decorator"),
        ("decorator", "block"),
        ("block", "block"),
        ("loop", "loop"),
    ],
)
def test_forms(form, other_form, watched):
    pairs = [
        ("transfer", "transfer_back"),
        ("skew_xy", "skew_yx"),
        ("mixed", "alone"),
        ("alone", "mixed"),
        ("commuted_and_read", "transfer"),
        ("written_then_read", "blind"),
    ]
    for one, other in pairs:
        points = explore(one, form, other, other_form, watched)
        assert points > 1


def test_snapshot_loses_no_update():
    """With snapshot write skew is allowed, and nothing else."""
    names = ["transfer", "mixed", "blind", "read"]
    for one in names:
        for other in names:
            allowed = serial_outcomes(one, other)

            def scenario(one=one, other=other, allowed=allowed):
                cells = Cells()

                def check(result, others):
                    assert (result, others, cells.state()) in allowed, (one, other)

                return (
                    lambda: run(cells, one, "decorator", isolation="snapshot"),
                    lambda: run(cells, other, "decorator", isolation="snapshot"),
                    check,
                )

            assert preempted_at_each_point(scenario) > 1
