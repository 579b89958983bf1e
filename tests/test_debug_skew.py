"""A commit that the default isolation would have refused is reported, and no other."""

from __future__ import annotations

import sys
import warnings

import pytest
from helpers import FORMS, elsewhere, run_threads, transact

from atomos import Atom, Ref, atomically, debug, dosync
from atomos.debug import WriteSkewWarning
from atomos.stm import _commit
from atomos.stm._seams import Seams


@pytest.fixture(scope="module", autouse=True)
def _reporting():
    debug.enable(mutation=False, effects=False)
    yield
    debug.disable()


def heard(fn, *args, **kwargs):
    """Return what is reported while `fn` runs."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        fn(*args, **kwargs)
    assert all(one.category is WriteSkewWarning for one in found), found
    return [str(one.message) for one in found]


def leave(me, other, first, read=Ref.deref):
    """Go off duty if the other one is on duty, who does the same meanwhile."""
    ran = []

    def body():
        if read(other):
            if first is not None and not ran:
                ran.append(1)
                elsewhere(first)
            me.set(False)

    return body


def pair():
    return Ref(True, name="ann"), Ref(True, name="bob")


def test_write_skew_is_reported_with_refs_and_label():
    ann, bob = pair()
    meanwhile = dosync(isolation="snapshot")(leave(bob, ann, None))
    go = dosync(isolation="snapshot", name="leave")(leave(ann, bob, meanwhile))
    (message,) = heard(go)
    assert message.startswith("leave has committed with isolation='snapshot'")
    assert "it has read Ref 'bob', changed" in message
    assert "ensure()" in message
    assert (ann.deref(), bob.deref()) == (False, False)


def test_the_line_is_that_of_the_call():
    ann, bob = pair()
    go = dosync(isolation="snapshot")(
        leave(ann, bob, lambda: atomically(bob.set, False))
    )
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        line = sys._getframe().f_lineno + 1
        go()
    assert [(one.filename, one.lineno) for one in found] == [(__file__, line)]


def test_ensure_is_the_way_out():
    ann, bob = pair()
    meanwhile = dosync(isolation="snapshot")(leave(bob, ann, None))
    go = dosync(isolation="snapshot")(leave(ann, bob, meanwhile, Ref.ensure))
    assert heard(go) == []
    assert ann.deref()
    assert not bob.deref()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("isolation", ["serializable", "snapshot"])
def test_which_forms_have_it(form, isolation):
    ann, bob = pair()
    other = Ref(0)

    def body():
        bob.deref()
        if not ran and form != "block":  # a block holds what it reads
            ran.append(1)
            elsewhere(atomically, bob.set, False)
        other.deref()
        ann.set(False)

    ran: list[int] = []
    told = heard(transact, form, body, isolation=isolation)
    assert len(told) == (isolation == "snapshot" and form != "block")


def test_who_only_reads_or_reads_what_stays_is_not_reported():
    ann, bob = pair()

    @dosync(isolation="snapshot")
    def reads():
        ann.deref()
        elsewhere(atomically, ann.set, 1)
        bob.deref()

    @dosync(isolation="snapshot")
    def reads_what_stays():
        ann.deref()
        bob.set(2)

    @dosync(isolation="snapshot", read_only=True)
    def only_reads():
        ann.deref()
        elsewhere(atomically, ann.set, 3)

    assert heard(reads) + heard(reads_what_stays) + heard(only_reads) == []


def test_what_is_written_is_checked_by_the_commit_itself():
    ann, bob = pair()
    runs = []

    @dosync(isolation="snapshot")
    def both():
        runs.append(1)
        seen = ann.deref()
        if len(runs) == 1:
            elsewhere(atomically, ann.set, 1)
        bob.set(seen)
        ann.set(seen)

    assert heard(both) == []
    assert len(runs) == 2


@pytest.mark.parametrize("reads", [False, True])
def test_a_commute_after_a_read(reads):
    ann, bob = Ref(0, name="ann"), Ref(0)

    @dosync(isolation="snapshot")
    def work():
        if reads:
            bob.set(ann.deref())
        ann.commute(lambda n: n + 1)
        elsewhere(atomically, ann.set, 10)

    told = heard(work)
    assert ann.deref() == 11
    assert [("Ref 'ann'" in one) for one in told] == [True] * reads


def test_atoms_count_too_and_several_are_named():
    one, two, written = Atom(1, name="one"), Atom(2, name="two"), Ref(0)

    @dosync(isolation="snapshot")
    def work():
        written.set(one.deref() + two.deref())
        elsewhere(lambda: (one.reset(5), two.reset(6)))

    (message,) = heard(work)
    assert "Atom 'one', Atom 'two'" in message


def test_a_change_just_before_the_commit_point_is_not_missed():
    ann, bob = pair()
    seams = Seams()

    def late(commit_point):
        def changed_before(thread, status, expected=0):
            if not ran:
                ran.append(1)
                elsewhere(atomically, bob.set, 2)
            return commit_point(thread, status, expected)

        return changed_before

    ran: list[int] = []
    seams.method(_commit, "commit_point", late)
    try:
        go = dosync(isolation="snapshot")(leave(ann, bob, None))
        assert len(heard(go)) == 1
    finally:
        seams.close()


@pytest.mark.parametrize("read", [Ref.deref, Ref.ensure])
def test_a_change_just_after_the_commit_point_counts_unless_ensured(read):
    ann, bob = pair()
    seams = Seams()

    def early(commit_point):
        def changed_after(thread, status, expected=0):
            done = commit_point(thread, status, expected)
            if not ran:
                ran.append(1)
                elsewhere(atomically, bob.set, 2)
            return done

        return changed_after

    ran: list[int] = []
    seams.method(_commit, "commit_point", early)
    try:
        go = dosync(isolation="snapshot")(leave(ann, bob, None, read))
        assert len(heard(go)) == (read is Ref.deref)
    finally:
        seams.close()


def test_a_warning_made_an_error_comes_after_the_commit():
    ann, bob = pair()
    go = dosync(isolation="snapshot")(
        leave(ann, bob, lambda: atomically(bob.set, False))
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(WriteSkewWarning):
            go()
    assert (ann.deref(), bob.deref()) == (False, False)


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize("read", [Ref.deref, Ref.ensure])
def test_each_skew_of_threads_is_reported(read):
    """The rule is broken now and then, and each time somebody hears of it."""

    def round_of_two():
        ann, bob = pair()
        run_threads(
            dosync(isolation="snapshot")(leave(ann, bob, None, read)),
            dosync(isolation="snapshot")(leave(bob, ann, None, read)),
        )
        return ann.deref() or bob.deref()

    for _ in range(25):
        kept: list[bool] = []
        told = heard(lambda kept=kept: kept.append(round_of_two()))
        assert kept[0] or told
        if read is Ref.ensure:
            assert kept[0]
            assert not told
