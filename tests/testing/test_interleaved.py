"""Bodies run on threads of their own, one at a time, under a schedule."""

from __future__ import annotations

import threading

import pytest
from planted import add, add_badly, bodies, total, transfer

from atomos import Atom, AtomicInteger, Ref, atomically, dosync
from atomos.testing import (
    NestedRunError,
    Priorities,
    Schedule,
    run_interleaved,
)


def two(function, *args):
    return bodies((function, *args), (function, *args))


def test_without_a_switch_one_runs_after_the_other():
    tally = Atom(0)
    run = run_interleaved(Schedule(), *two(add_badly, tally))
    assert tally.deref() == 2
    assert [step.thread for step in run.steps] == ["0 add_badly"] * 3 + [
        "1 add_badly"
    ] * 3


def test_a_switch_loses_an_update():
    tally = Atom(0)
    run_interleaved(Schedule((2, 0)), *two(add_badly, tally))
    assert tally.deref() == 1


@pytest.mark.parametrize("gap", range(6))
def test_a_swap_loses_none(gap):
    tally, count = Atom(0), AtomicInteger(0)

    def both():
        add(tally)
        count.increment_and_get()

    run_interleaved(Schedule((gap, 0)), both, both)
    assert (tally.deref(), count.get()) == (2, 2)


def test_the_engine_itself_runs_and_loses_its_race():
    """The first swap finds at its turn that another one was faster."""
    calls = []
    tally = Atom(0)

    def body():
        tally.swap(lambda n: calls.append(n) or n + 1)

    run_interleaved(Schedule((2, 0)), body, body)
    assert calls == [0, 0, 1]


def test_a_transaction_is_run_again():
    one, other = Ref(10), Ref(0)
    attempts = []

    @dosync
    def late():
        attempts.append(one.deref())
        other.deref()
        other.set(attempts[-1])

    run = run_interleaved(Schedule((3, 0)), late, *bodies((transfer, one, other)))
    assert attempts == [10, 9]
    assert other.deref() == 9
    assert sum(step.operation == "begin" for step in run.steps) == 3


def test_each_step_of_a_commit_is_a_step():
    one, other = Ref(10, name="one"), Ref(0, name="other")

    @dosync
    def copies():
        other.set(one.deref())

    run = run_interleaved(Schedule(), copies)
    assert [(step.operation, step.ref, step.value) for step in run.steps] == [
        ("begin", "", "copies"),
        ("deref", "one", "10"),
        ("set", "other", "10"),
        ("hold", "other", ""),
        ("validate", "other", ""),
        ("link", "", ""),
        ("look at clock", "", ""),
        ("validate", "one", ""),
        ("commit", "", ""),
        ("settle", "", ""),
    ]


def test_results_come_in_the_order_of_the_bodies():
    names = []

    def body(number):
        names.append(threading.current_thread().name)
        return number

    order = [lambda n=n: body(n) for n in range(4)]
    run = run_interleaved(Schedule((0, 2)), *order)
    assert run.results == (0, 1, 2, 3)
    assert sorted(names) == [f"{n} lambda" for n in range(4)]


def test_each_body_has_a_thread_of_its_own_and_only_one_runs():
    running, seen = [], []
    cell = Atom(0)

    def body():
        seen.append(threading.get_ident())
        for _ in range(5):
            running.append(1)
            assert len(running) == 1
            running.pop()
            cell.deref()

    run_interleaved(Schedule(*[(1, n) for n in range(9)]), body, body, body)
    assert len(set(seen)) == 3
    assert threading.get_ident() not in seen


def test_threads_are_used_again():
    idents = set()
    for _ in range(5):
        run_interleaved(Schedule(), *[lambda: idents.add(threading.get_ident())] * 2)
    assert len(idents) <= 2


def test_nothing_to_run():
    run = run_interleaved(Schedule((0, 0)))
    assert (run.results, run.steps, run.seconds) == ((), (), 0.0)


def test_the_schedule_of_a_run_repeats_it():
    one, other = Ref(5), Ref(5)
    work = bodies((transfer, one, other), (total, one, other), (transfer, other, one))
    for seed in range(30):
        run = run_interleaved(Priorities(seed, length=40), *work)
        assert run_interleaved(run.schedule, *work).steps[:5] == run.steps[:5]
        again = run_interleaved(run.schedule, *work)
        assert [step[:3] for step in again.steps] == [step[:3] for step in run.steps]


def test_the_table_shows_what_happened():
    tally = Atom(0, name="tally")
    unnamed = Ref({"b": object(), "a": 1})

    def body():
        unnamed.deref()
        add_badly(tally)
        return unnamed

    run = run_interleaved(Schedule((3, 0)), body, lambda: add(tally))
    assert str(run).splitlines() == [
        "step     thread    operation  ref    value",
        "   1     0 body    deref      Ref#1  {'a': 1, 'b': <object object>}",
        "   2     0 body    deref      tally  0",
        "   3  >  1 lambda  swap       tally  1",
        "   4     1 lambda  publish    tally",
        "   5     0 body    reset      tally  1",
        "   6     0 body    publish    tally",
    ]


def test_a_long_table_shows_what_is_near_the_switches():
    cell = Ref(0)

    def body():
        for _ in range(300):
            cell.deref()
            atomically(lambda: cell.set(1))

    text = str(run_interleaved(Schedule((500, 0)), body, body))
    lines = text.splitlines()
    assert len(lines) < 60
    assert sum(line.split()[1] == ">" for line in lines if "..." not in line) == 1


class Unshowable:
    def __repr__(self):
        raise ValueError


def test_values_that_cannot_be_shown_are_named():
    cell = Atom(Unshowable())
    run = run_interleaved(Schedule(), cell.deref)
    assert run.steps[0].value == "<Unshowable instance>"


class Looks:
    """A value whose repr reads a cell."""

    def __init__(self, cell):
        self.cell = cell

    def __repr__(self):
        return f"Looks({self.cell.deref()})"


def test_what_a_repr_does_is_no_step():
    cell = Atom(1)
    looking = Atom(Looks(cell))
    run = run_interleaved(Schedule(), looking.deref, looking.deref)
    assert [step.value for step in run.steps] == ["Looks(1)", "Looks(1)"]


class Problem(Exception):
    pass


def test_what_a_body_raises_is_raised_with_the_schedule_and_the_table():
    cell = Atom(0, name="cell")

    def fails():
        cell.deref()
        raise Problem("it failed")

    with pytest.raises(Problem, match="it failed") as caught:
        run_interleaved(Schedule((1, 0)), fails, cell.deref)
    (note,) = caught.value.__notes__
    assert note.startswith("under Schedule((1, 0)):\nstep ")
    assert "1 deref" in note


def test_the_others_go_on_after_an_error():
    tally = Atom(0)

    def fails():
        raise Problem

    with pytest.raises(Problem):
        run_interleaved(Schedule(), fails, *two(add, tally))
    assert tally.deref() == 2


def test_several_errors_come_in_a_group():
    def fails():
        raise Problem

    def ends():
        raise SystemExit

    with pytest.raises(BaseExceptionGroup) as caught:
        run_interleaved(Schedule(), fails, ends, fails)
    assert [type(one) for one in caught.value.exceptions] == [
        Problem,
        SystemExit,
        Problem,
    ]
    assert caught.value.__notes__


def test_an_error_comes_before_what_follows_from_it():
    flag = Atom(False)

    def fails():
        raise Problem

    with pytest.raises(Problem) as caught:
        run_interleaved(Schedule(), fails, lambda: flag.wait_for(bool))
    assert "then DeadlockError" in caught.value.__notes__[0]


def test_a_run_inside_of_a_run_is_refused():
    def body():
        run_interleaved(Schedule(), lambda: None)

    with pytest.raises(NestedRunError, match="inside of a run"):
        run_interleaved(Schedule(), body)


def test_a_run_inside_of_a_transaction_is_refused():
    @dosync
    def body():
        run_interleaved(Schedule(), lambda: None)

    with pytest.raises(NestedRunError, match="inside of a transaction"):
        body()


@pytest.mark.parametrize(
    ("error", "args", "kwargs"),
    [
        (TypeError, ((1, 0),), {}),
        (TypeError, (Schedule(), None), {}),
        (ValueError, (Schedule(),), {"max_steps": 0}),
        (ValueError, (Schedule(),), {"max_steps": True}),
        (ValueError, (Schedule(),), {"patience": 0}),
        (ValueError, (Schedule(),), {"patience": float("inf")}),
    ],
)
def test_bad_input_is_refused(error, args, kwargs):
    with pytest.raises(error):
        run_interleaved(*args, **kwargs)
