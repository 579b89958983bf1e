"""`History`: what is written down, in which order, and what is refused."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from helpers import PATIENCE, elsewhere, run_threads

from atomos import Atom, AtomicInteger, Ref, atomically, dosync, outside
from atomos.errors import HistoryError, InTransactionError
from atomos.testing import (
    History,
    Model,
    Schedule,
    check_linearizable,
    check_serializable,
    check_snapshot_isolation,
    run_interleaved,
)


class Timeout(Exception):
    pass


def test_a_call_is_written_down():
    history = History()
    assert history.call("largest", max, 3, 4) == 4
    (found,) = history.operations
    assert (found.name, found.args, found.result, found.error) == (
        "largest",
        (3, 4),
        4,
        None,
    )
    assert (found.invoked, found.returned, found.thread) == (0, 1, "MainThread")
    assert str(found) == "largest(3, 4) -> 4 in MainThread"


def test_the_result_of_a_block_is_what_it_stores():
    history = History()
    with history.operation("get", "x") as get:
        get.result = 7
    with history.operation("clear"):
        pass
    assert [each.result for each in history.operations] == [7, None]


def test_what_is_raised_arrives_and_is_the_outcome():
    history, error = History(), ValueError("no")

    def fail():
        raise error

    with pytest.raises(ValueError, match="no"):
        history.call("fail", fail)
    (found,) = history.operations
    assert found.error is error
    assert str(found) == "fail() -> raised ValueError('no') in MainThread"


def test_who_called_is_told_by_the_names_of_the_table():
    history, hits = History(), AtomicInteger(0)

    def count():
        history.call("add", hits.add_and_get, 1)

    run = run_interleaved(Schedule((1, 0)), count, count)
    assert [found.thread for found in history.operations] == ["0 count", "1 count"]
    assert {step.thread for step in run.steps} == {"0 count", "1 count"}


def test_a_name_with_a_line_break_stays_on_its_line():
    history = History()
    history.call("a\nb", len, "")
    assert str(history.operations[0]) == "a\\nb('') -> 0 in MainThread"
    with history.transaction("c\nd"):
        pass
    assert str(history.transactions[0]) == "c\\nd"
    run = run_interleaved(Schedule(), Atom(0, name="e\nf").deref)
    assert run.steps[0].ref == "e\\nf"


@pytest.mark.parametrize("wrong", [Timeout, ["x"], (Timeout, 3), None])
def test_what_leaves_open_is_a_tuple_of_exceptions(wrong):
    with pytest.raises(TypeError, match="unknown must be a tuple of exception types"):
        History(unknown=wrong)


@pytest.mark.parametrize(
    "check",
    [
        lambda wrong: check_linearizable(wrong, Model(0, max)),
        check_serializable,
        check_snapshot_isolation,
    ],
)
@pytest.mark.parametrize("wrong", [None, [1, 2], History])
def test_a_checker_refuses_what_is_no_history(check, wrong):
    with pytest.raises(TypeError, match=r"check_\w+ needs a History, not"):
        check(wrong)


def test_a_checker_refuses_what_is_no_model():
    with pytest.raises(TypeError, match="needs a Model, not function"):
        check_linearizable(History(), lambda: 0)
    with pytest.raises(TypeError, match="Model, as step, needs a function"):
        Model(0, 3)
    with pytest.raises(TypeError, match="Model, as key, needs a function"):
        Model(0, max, key="x")


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, Timeout])
def test_after_some_exceptions_nobody_knows(error):
    history = History(unknown=(Timeout,))

    def fail():
        raise error

    with pytest.raises(error):
        history.call("fail", fail)
    with pytest.raises(error), history.transaction():
        raise error
    assert history.operations[0].returned is None
    assert history.operations[0].error is None
    assert str(history.operations[0]) == "fail() -> ? in MainThread"
    assert history.transactions[0].committed is None


def test_what_has_not_ended_is_pending():
    history = History()
    with history.operation("outer") as outer:
        outer.result = "not yet"
        history.call("inner", int)
        assert [each.returned for each in history.operations] == [None, 2]
        assert history.operations[0].result is None
    assert [each.returned for each in history.operations] == [3, 2]


def test_one_order_of_all_begins_and_ends(often):
    """Positions are given once, and agree with what took effect first."""
    history, atom = History(), Atom(0)

    def work():
        for _ in range(200):
            history.call("add", atom.swap, lambda n: n + 1)

    run_threads(work, work, work, work)
    found = history.operations
    positions = [p for each in found for p in (each.invoked, each.returned)]
    assert sorted(positions) == list(range(1600))
    assert sorted(each.result for each in found) == list(range(1, 801))
    for one in found:
        for two in found:
            # Who has the lower result took effect first.
            if one.returned < two.invoked:
                assert one.result < two.result


def test_names_of_threads():
    history = History()
    elsewhere(lambda: history.call("here", int))
    assert history.operations[0].thread != "MainThread"


def test_only_the_attempt_that_counts_stays():
    history, ref = History(), Ref((), name="ref")
    tries = []

    @dosync
    def body():
        t.begin()
        tries.append(1)
        seen = t.read(ref, ref.deref())
        if len(tries) == 1:
            elsewhere(atomically, ref.set, ("other",))
        ref.set((*seen, t.append(ref, len(tries))))

    with history.transaction() as t:
        body()
    assert tries == [1, 1]
    (found,) = history.transactions
    assert found.committed
    assert found.steps == ((ref, ("other",)), (ref, 2))
    assert found.lost == ((ref, 1),)


def test_what_gives_up_has_not_happened():
    history = History()
    with pytest.raises(ValueError), history.transaction() as t:
        t.append("x", 1)
        raise ValueError
    assert history.transactions[0].committed is False


def test_values_are_copied():
    history, value = History(), [1]
    with history.transaction() as t:
        assert t.read("x", value) is value
        value.append(2)
    assert history.transactions[0].steps == (("x", (1,)),)


def test_what_is_no_list():
    history = History()
    with history.transaction("one") as t:
        with pytest.raises(HistoryError, match="was given 5, which is no list"):
            t.read("x", 5)
    assert history.transactions[0].steps == ()


def test_names_are_distinct():
    history = History()
    for name in [None, "a", "a", "b", None, "T6", None, "a#2"]:
        with history.transaction(name):
            pass
    found = [str(each) for each in history.transactions]
    assert found == ["T1", "a#1", "a#3", "b", "T5", "T6", "T7", "a#2"]


def test_both_in_one_history():
    history = History()
    history.call("a", int)
    with history.transaction():
        pass
    assert repr(history) == "History(operations=1, transactions=1)"


@pytest.mark.parametrize("make", ["operation", "transaction"])
def test_inside_of_a_transaction(make):
    """It would end there before the transaction takes effect."""
    history = History()
    with dosync(), pytest.raises(InTransactionError, match="put it around"):
        with getattr(history, make)("name"):
            pass
    with dosync():
        outside(history.call, "elsewhere", int)
    assert repr(history) == "History(operations=1, transactions=0)"


def test_a_block_is_entered_once():
    history = History()
    operation = history.operation("get", 1)
    with operation:
        pass
    with pytest.raises(HistoryError, match=r"history.operation\('get', 1\) was"):
        operation.__enter__()
    assert len(history.operations) == 1


@pytest.mark.parametrize(
    "call",
    [
        lambda t: t.begin(),
        lambda t: t.read("x", ()),
        lambda t: t.append("x", 1),
    ],
)
def test_steps_are_in_the_block(call):
    history = History()
    before = history.transaction("before")
    with pytest.raises(HistoryError, match="outside of its `with` block"):
        call(before)
    with history.transaction("after") as after:
        pass
    with pytest.raises(HistoryError, match=r"history.transaction\('after'\)"):
        call(after)
    assert history.transactions[0].steps == ()


def test_nobody_pays_who_does_not_ask():
    """`import atomos` does not import the kit."""
    code = (
        "import atomos, atomos.agent, sys\n"
        "print([m for m in sys.modules if m.startswith('atomos.testing')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert done.stdout.strip() == "[]"
