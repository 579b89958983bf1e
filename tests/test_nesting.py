"""Closed nested transactions: an exception that leaves one undoes that one alone."""

from __future__ import annotations

import contextlib

import pytest
from helpers import (
    CELLS,
    FORMS,
    ISOLATIONS,
    RERUN_FORMS,
    Attempts,
    change,
    commit,
    elsewhere,
    put,
    transact,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from interrupts import Interrupted, interrupted_at_each_point, stopped_once, within

from atomos import Atom, Ref, atomically, current_transaction, dosync, retry
from atomos.atomic import LongAdder
from atomos.errors import TransactionStateError
from atomos.stm._part import undo_part
from atomos.stm._wait import Sleeper


class Broken(Exception):
    """Passes this many nested calls before it is caught."""

    def __init__(self, calls=0):
        super().__init__(calls)
        self.calls = calls


def undone(form, body, **options):
    """Run `body` as a nested call that fails after it."""

    def fails():
        body()
        raise Broken

    with contextlib.suppress(Broken):
        transact(form, fails, **options)


# Against a model


def mix(value, n):
    """A function whose order matters."""
    return (value * 3 + n) % 1000003


LEAVES = st.one_of(
    st.tuples(
        st.sampled_from(["set", "alter", "commute", "deref", "ensure"]),
        st.integers(0, 2),
        st.integers(0, 9),
    ),
    st.tuples(st.sampled_from(["swap", "add", "hook"]), st.just(3), st.integers(0, 9)),
)
#: What is done, and the number of calls that an exception at the end passes, if any.
BODIES = st.recursive(
    st.tuples(st.lists(LEAVES, max_size=4), st.none() | st.integers(0, 2)),
    lambda inner: st.tuples(
        st.lists(
            st.one_of(
                LEAVES, st.tuples(st.just("nest"), st.sampled_from(FORMS), inner)
            ),
            min_size=1,
            max_size=5,
        ),
        st.none() | st.integers(0, 2),
    ),
    max_leaves=12,
)


class Run:
    """A tree of calls, run as transactions and on a dict that each call copies."""

    def __init__(self):
        self.refs = [Ref(n) for n in range(3)]
        self.atom = Atom(3)
        self.adder = LongAdder()
        self.hooks = []
        self.model = {0: 0, 1: 1, 2: 2, 3: 3, "sum": 0, "hooks": []}

    def body(self, body):
        steps, raises = body
        for step in steps:
            if step[0] == "nest":
                self.nested(*step[1:])
            else:
                self.leaf(*step)
        if raises is not None:
            raise Broken(raises)

    def nested(self, form, body):
        before = {**self.model, "hooks": list(self.model["hooks"])}
        try:
            transact(form, lambda: self.body(body))
        except Broken as error:
            self.model = before
            if error.calls:
                raise Broken(error.calls - 1) from None

    def leaf(self, what, where, n):
        model = self.model
        if what == "hook":
            current_transaction().after_commit(lambda: self.hooks.append(n))
            model["hooks"].append(n)
        elif what == "add":
            self.adder.add(n)
            model["sum"] += n
        elif what == "swap":
            model[3] = mix(model[3], n)
            assert self.atom.swap(mix, n) == model[3]
        elif what in ("deref", "ensure"):
            assert getattr(self.refs[where], what)() == model[where]
        elif what == "set":
            model[where] = self.refs[where].set(n)
        else:
            model[where] = mix(model[where], n)
            found = getattr(self.refs[where], what)(mix, n)
            assert found == (model[where] if what == "alter" else None)

    def state(self):
        values = [cell.deref() for cell in [*self.refs, self.atom]]
        return dict(enumerate(values)) | {
            "sum": self.adder.sum(),
            "hooks": self.hooks,
        }


@pytest.mark.parametrize("isolation", ISOLATIONS)
@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(body=BODIES)
def test_any_tree_of_calls(form, isolation, body):
    run = Run()
    before = run.state()
    try:
        transact(form, lambda: run.body(body), isolation=isolation)
    except Broken:
        assert run.state() == before
    else:
        assert run.state() == run.model
        assert run.adder.sum() == run.model["sum"]
    for cell in [*run.refs, run.atom, run.adder]:
        assert cell._newest.number > 0
    elsewhere(commit, run.refs[0], 5, run.refs[1], 5)


@pytest.mark.parametrize("form", FORMS)
def test_a_cell_that_three_levels_change(form):
    """What each of them is undone to is what was there when it began."""
    ref, hits = Ref(0), Ref(0)

    def write(value):
        ref.set(value)
        hits.commute(mix, value)

    def inner():
        write(2)
        transact(form, lambda: write(3))
        undone(form, lambda: write(4))
        assert ref.deref() == 3

    def body():
        write(1)
        undone(form, inner)
        assert ref.deref() == 1

    transact(form, body)
    assert (ref.deref(), hits.deref()) == (1, 1)


# What stays of one that was undone


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("form", RERUN_FORMS)
def test_what_it_has_read_is_validated(form, kind):
    cell, other, tries = CELLS[kind](0), Ref(0), Attempts()

    def body():
        tries.begin()
        undone(form, lambda: change(cell, lambda n: n + 1))
        tries.once(commit, cell, 5)
        other.set(1)

    transact(form, body)
    assert tries.count == 2


@pytest.mark.parametrize("form", RERUN_FORMS)
def test_what_it_has_only_written_is_not(form):
    ref, other, tries = Ref(0), Ref(0), Attempts()

    def body():
        tries.begin()
        undone(form, lambda: (ref.set(1), other.set(1)))
        tries.once(commit, ref, 5)
        other.set(2)

    transact(form, body)
    assert tries.count == 1
    assert (ref.deref(), other.deref()) == (5, 2)


@pytest.mark.parametrize("isolation", ISOLATIONS)
@pytest.mark.parametrize("form", FORMS)
def test_what_it_has_ensured_and_written_blindly(form, isolation):
    """It saw nothing but its own value, so there is nothing to validate."""
    ref, other = Ref(0), Ref(0)

    def body():
        undone(form, lambda: (ref.set(1), ref.ensure()))
        Ref(0).ensure()  # so that the commit looks at what is ensured
        other.set(1)

    transact(form, body, isolation=isolation)
    assert (ref.deref(), other.deref()) == (0, 1)


def test_a_commute_that_it_has_read_is_validated_from_then_on():
    ref, other, tries, computed = Ref(0), Ref(0), Attempts(), []

    def add(n):
        computed.append(n)
        return n + 1

    def body():
        tries.begin()
        ref.commute(add)
        undone("decorator", lambda: ref.commute(lambda n: n + 10))
        if tries.count <= 2:
            undone("decorator", ref.deref)
            tries.once(commit, ref, 5)
        other.set(1)

    atomically(body)
    assert (tries.count, ref.deref()) == (2, 6)


def test_a_plain_block_keeps_hold_of_what_an_undone_part_has_touched():
    ref = Ref(0)
    with dosync():
        undone("block", lambda: ref.set(1))
        assert ref._holder is not None
        assert elsewhere(ref.deref) == 0
        assert ref.deref() == 0
    elsewhere(commit, ref, 2)


@pytest.mark.parametrize("inner", FORMS)
def test_read_only_ends_with_the_part(inner):
    ref = Ref(0)

    def body():
        undone(inner, ref.deref, read_only=True)
        ref.set(1)

    atomically(body)
    assert ref.deref() == 1


def test_one_that_begins_anew_has_undone_all():
    """A lost attempt of which parts are open, and were undone."""
    ref, other, tries = Ref(0), Ref(0), Attempts()

    def inner():
        other.alter(lambda n: n + 1)
        undone("function", lambda: other.set(100))
        ref.deref()
        tries.once(commit, ref, 1)
        ref.set(2)

    def body():
        tries.begin()
        other.set(10)
        transact("loop", inner)

    atomically(body)
    assert (tries.count, ref.deref(), other.deref()) == (2, 2, 11)


@pytest.mark.parametrize("form", FORMS)
def test_hooks_of_an_undone_part_go_with_it(form):
    seen = []

    def add(name):
        tx = current_transaction()
        tx.before_commit(lambda: seen.append(("before", name)))
        tx.after_commit(lambda: seen.append(("after", name)))
        tx.after_rollback(lambda: seen.append(("rollback", name)))

    def body():
        add("first")
        undone(form, lambda: add("undone"))
        transact(form, lambda: add("nested"))

    transact(form, body)
    assert seen == [
        ("before", "first"),
        ("before", "nested"),
        ("after", "first"),
        ("after", "nested"),
    ]


@pytest.mark.parametrize("form", FORMS)
def test_many_writes_of_one_cell_are_kept_once(form):
    """Memory: a part keeps a cell once, however often it is written."""
    ref = Ref(0)

    def body():
        ref.set(1)

        def inner():
            for n in range(100):
                ref.set(n)
            journal = current_transaction()._tx.journal
            assert len(journal.part.kept) == 1

        for _ in range(10):
            transact(form, inner)
        undone(form, inner)
        assert ref.deref() == 99
        journal = current_transaction()._tx.journal
        assert journal.part is None

    transact(form, body)


# Blocks that generators leave open


def part(form, *pairs):
    def write():
        for cell, value in zip(pairs[::2], pairs[1::2], strict=True):
            put(cell, value)

    if form == "block":
        with dosync():
            write()
            yield
    else:
        for tx in dosync():
            with tx:
                write()
                yield


@pytest.mark.parametrize("ending", ["ends", "is closed", "is dropped"])
@pytest.mark.parametrize("form", ["loop", "block"])
def test_a_block_that_ends_after_the_call_that_began_it(form, ending):
    a, b = Ref(0), Ref(0)

    def inner(kept):
        a.set(2)
        next(kept)

    def body():
        a.set(1)
        kept = part(form, a, 3, b, 3)
        transact("decorator", lambda: inner(kept))
        if ending == "ends":
            assert next(kept, "end") == "end"
        elif ending == "is closed":
            kept.close()
        else:
            del kept
        assert current_transaction()._tx.journal.part is None

    atomically(body)
    assert [a.deref(), b.deref()] == ([3, 3] if ending == "ends" else [2, 0])


@pytest.mark.parametrize("form", ["loop", "block"])
def test_a_block_that_is_undone_with_the_call_that_began_it(form):
    a, b = Ref(0), Ref(0)

    def body():
        a.set(1)
        kept = part(form, a, 3, b, 3)
        undone("decorator", lambda: (a.set(2), next(kept)))
        assert (a.deref(), b.deref()) == (1, 0)
        with pytest.raises(TransactionStateError, match="a part had ended"):
            next(kept)
        b.set(1)

    atomically(body)
    assert (a.deref(), b.deref()) == (1, 1)


@pytest.mark.parametrize("outer", FORMS)
@pytest.mark.parametrize("form", ["loop", "block"])
def test_a_block_that_another_thread_drops_cannot_be_undone(form, outer):
    """So the attempt cannot commit: not even one that is run once."""
    a, tries = Ref(0), Attempts()

    def body():
        tries.begin()
        if tries.count == 1:
            kept = part(form, a, 3)
            next(kept)
            elsewhere(kept.close)

    if outer == "block":
        with pytest.raises(TransactionStateError):
            transact(outer, body)
    else:
        transact(outer, body)
        assert tries.count == 2
    assert a.deref() == 0
    elsewhere(commit, a, 1)


@pytest.mark.parametrize("ending", ["ends", "is closed"])
@pytest.mark.parametrize("form", ["loop", "block"])
def test_read_only_of_a_call_that_a_block_in_it_outlives(form, ending):
    a, b = Ref(0), Ref(0)

    @dosync(read_only=True)
    def inner(kept):
        next(kept)

    def body():
        kept = part(form)
        inner(kept)
        a.set(1)
        if ending == "ends":
            next(kept, None)
        else:
            kept.close()
        b.set(1)

    atomically(body)
    assert b.deref() == 1


# Exceptions from outside


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("inner", FORMS)
@pytest.mark.parametrize("outer", FORMS)
def test_an_exception_at_each_point(outer, inner, fails, quiet_hook):
    """The outer one catches it: the inner one has happened as a whole, or not."""
    state = []

    def scenario(tracer):
        a, b, c = state[:] = Ref(0), Ref(0), Ref(0)

        def nested():
            a.set(2)
            b.set(2)
            c.commute(lambda n: n + 2)
            c.deref()
            if fails:
                raise Broken

        def body():
            a.set(1)
            c.commute(lambda n: n + 1)
            with contextlib.suppress(Broken, Interrupted):
                transact(inner, nested)

        def run():
            with contextlib.suppress(TransactionStateError):
                transact(outer, body)

        return run

    def check():
        values = [cell.deref() for cell in state]
        allowed = [[0, 0, 0], [1, 0, 1], *([] if fails else [[2, 2, 3]])]
        assert values in allowed, values
        elsewhere(commit, *[x for cell in state for x in (cell, 9)])

    assert elsewhere(interrupted_at_each_point, scenario, check) > 20


def test_an_undoing_that_is_cut_short_while_others_wait(quiet_hook):
    """The exception arrives, and not another one from the end of the attempt."""

    def scenario(tracer):
        a, b = Ref(0), Ref(0)
        b._sleepers = {Sleeper(): None}

        def inner():
            b.set(2)
            raise Broken

        def body():
            a.set(1)
            with contextlib.suppress(Broken, Interrupted):
                transact("decorator", inner)
            raise Interrupted

        return lambda: atomically(body)

    assert interrupted_at_each_point(scenario, lambda: None) > 10


@pytest.mark.parametrize("then", ["retry", "hook"])
def test_a_plain_block_in_which_an_undoing_was_cut_short(then):
    """What leaves it is an error that one can catch, and not a signal of the engine."""
    a = Ref(0)

    def fails():
        a.set(1)
        raise Broken

    def interrupt():
        raise Interrupted

    def cut_short():
        a.deref()
        with contextlib.suppress(Broken, Interrupted):
            atomically(fails)
        if then == "retry":
            retry()
        raise Broken

    def run():
        with dosync() as tx:
            if then == "hook":
                tx.before_commit(cut_short)
            else:
                cut_short()

    with pytest.raises((TransactionStateError, Broken)):
        stopped_once(run, within(undo_part), interrupt)
    assert a.deref() == 0


@pytest.mark.parametrize("form", FORMS)
def test_commutes_of_three_levels_of_which_the_innermost_reads(form):
    """Each level goes back to the calls that came before it, innermost first."""
    ref = Ref(0)

    def add(n):
        ref.commute(lambda before: before + n)

    def innermost():
        add(100)
        assert ref.deref() == 111
        raise Broken

    def middle():
        add(10)
        with pytest.raises(Broken):
            transact(form, innermost)
        assert ref.deref() == 11
        raise Broken

    def body():
        add(1)
        with pytest.raises(Broken):
            transact(form, middle)
        return ref.deref()

    assert transact(form, body) == 1
    assert ref.deref() == 1
