"""Each form of transaction and each call, on cells of a space: as between threads."""

from __future__ import annotations

from functools import partial
from threading import Event

import pytest
from helpers import FORMS, RERUN_FORMS, elsewhere, start, transact

import atomos.multiprocessing
from atomos import (
    TransactionLocal,
    check,
    current_transaction,
    dosync,
    or_else,
    outside,
    retry,
)
from atomos.errors import (
    CommuteError,
    MixedSpacesError,
    NoTransactionError,
    ReadOnlyError,
    TransactionTimeout,
    ValidationError,
    WouldDeadlockError,
)


class Failed(Exception):
    pass


@pytest.fixture
def a(space):
    return space.ref("a", default=100)


@pytest.fixture
def b(space):
    return space.ref("b", default=0)


@pytest.fixture
def n(space):
    return space.integer("n")


@pytest.mark.parametrize("form", FORMS)
def test_a_transfer(form, a, b, n):
    def body():
        a.alter(lambda v: v - 30)
        b.alter(lambda v: v + 30)
        return n.increment_and_get()

    assert transact(form, body) == 1
    assert (a.deref(), b.deref(), n.get()) == (70, 30, 1)


@pytest.mark.parametrize("form", FORMS)
def test_an_exception_undoes_it(form, a, b, n):
    def body():
        a.set(1)
        b.set(1)
        n.increment_and_get()
        raise Failed

    with pytest.raises(Failed):
        transact(form, body)
    assert (a.deref(), b.deref(), n.get()) == (100, 0, 0)
    with dosync():
        a.set(5)
    assert a.deref() == 5


@pytest.mark.parametrize("form", FORMS)
def test_it_sees_its_own_writes_and_others_do_not(form, a, b):
    def body():
        a.set(1)
        assert a.deref() == 1
        assert elsewhere(a.deref) == 100
        b.commute(lambda v: v + 1)
        b.commute(lambda v: v + 1)
        return a.deref()

    assert transact(form, body) == 1
    assert (a.deref(), b.deref()) == (1, 2)


@pytest.mark.parametrize("form", RERUN_FORMS)
def test_lost_update(form, a):
    """Another one commits in between: the attempt runs again on the new value."""
    runs = []

    def body():
        value = a.deref()
        runs.append(value)
        if len(runs) == 1:
            elsewhere(lambda: transact("decorator", lambda: a.alter(lambda v: v + 1)))
        a.set(value + 10)

    transact(form, body)
    assert runs == [100, 101]
    assert a.deref() == 111


@pytest.mark.parametrize("form", RERUN_FORMS)
def test_read_skew(form, a, b):
    """What it reads after another commit is of its own snapshot."""

    def both():
        a.set(1)
        b.set(1)

    def body():
        first = a.deref()
        if first == 100:
            elsewhere(transact, "decorator", both)
        return first, b.deref()

    assert transact(form, body) == (100, 0)


@pytest.mark.parametrize("isolation", ["serializable", "snapshot"])
def test_write_skew(isolation, a, b):
    runs = []

    def other():
        if a.deref() == 100:
            b.set(1)

    @dosync(isolation=isolation)
    def one():
        runs.append(1)
        if b.deref() == 0:
            if len(runs) == 1:
                elsewhere(transact, "decorator", other)
            a.set(1)

    one()
    allowed = {"serializable": (100, 1), "snapshot": (1, 1)}
    assert (a.deref(), b.deref()) == allowed[isolation]


@pytest.mark.parametrize("blind", [True, False])
def test_snapshot_isolation_loses_no_update(blind, a, b):
    runs = []

    @dosync(isolation="snapshot")
    def one():
        b.deref()
        value = 0 if blind else a.deref()
        runs.append(1)
        if len(runs) == 1:
            elsewhere(transact, "decorator", lambda: a.alter(lambda v: v + 1))
        a.set(value + 10)

    one()
    assert len(runs) == 2
    assert a.deref() == (10 if blind else 111)


def test_ensure_closes_write_skew(a, b):
    runs = []

    @dosync(isolation="snapshot")
    def one():
        runs.append(1)
        if b.ensure() == 0:
            if len(runs) == 1:
                elsewhere(transact, "decorator", lambda: b.set(1))
            a.set(1)

    one()
    assert (len(runs), a.deref()) == (2, 100)


def test_commutes_make_nobody_run_again(a):
    runs = []

    @dosync
    def one():
        runs.append(1)
        a.commute(lambda v: v + 1)
        if len(runs) == 1:
            elsewhere(transact, "decorator", lambda: a.commute(lambda v: v * 2))

    one()
    assert (len(runs), a.deref()) == (1, 201)


def test_a_commute_may_touch_nothing_else(a, b):
    with pytest.raises(CommuteError):
        transact("decorator", lambda: a.commute(lambda v: v + b.deref()))
    assert a.deref() == 100


def test_a_plain_block_is_never_lost(a, b):
    """Nobody writes while it runs; readers do not wait."""
    with dosync():
        before = a.deref()
        other = start(transact, "decorator", lambda: a.alter(lambda v: v + 1))
        assert elsewhere(b.deref) == 0
        a.set(before + 10)
    other.join()
    assert a.deref() == 111


def test_one_that_loses_often_holds_in_the_end(a):
    runs = []

    @dosync
    def one():
        value = a.deref()
        runs.append(value)
        if not current_transaction_holds():
            elsewhere(transact, "decorator", lambda: a.alter(lambda v: v + 1))
        a.set(value)

    one()
    assert len(runs) == 9


def current_transaction_holds():
    from atomos.stm._inside import inside

    return inside().holding


def test_retry_sleeps_until_another_one_commits(a, b):
    @dosync
    def wait():
        check(b.deref() > 0)
        return a.deref(), b.deref()

    waiting = start(wait)

    @dosync
    def change():
        a.set(7)
        b.set(1)

    change()
    assert waiting.join() == (7, 1)


def test_retry_within_a_timeout(b):
    @dosync(timeout=0.05)
    def wait():
        check(b.deref() > 0)

    with pytest.raises(TransactionTimeout, match="waiting for a change of Ref 'b'"):
        wait()


def test_or_else_waits_for_both(a, b):
    def first():
        check(a.deref() == 0)
        return "first"

    def second():
        check(b.deref() > 0)
        return "second"

    @dosync
    def either():
        return or_else(first, second)

    waiting = start(either)
    with dosync():
        b.set(1)
    assert waiting.join() == "second"


def test_what_an_abandoned_alternative_wrote_is_undone(a, b):
    def first():
        a.set(0)
        retry()

    def second():
        return b.set(a.deref() + 1)

    assert dosync(lambda: or_else(first, second))() == 101
    assert a.deref() == 100


def test_wait_for(n):
    waiting = start(n.wait_for, lambda value: value >= 3)
    for _ in range(3):
        n.increment_and_get()
    assert waiting.join() == 3
    with pytest.raises(TransactionTimeout):
        n.wait_for(lambda value: value > 99, timeout=0.02)


@pytest.mark.parametrize("outer", FORMS)
@pytest.mark.parametrize("inner", FORMS)
def test_an_inner_one_is_undone_alone(outer, inner, a, b):
    def inside():
        a.set(1)
        raise Failed

    def body():
        b.set(5)
        with pytest.raises(Failed):
            transact(inner, inside)
        return a.deref()

    assert transact(outer, body) == 100
    assert (a.deref(), b.deref()) == (100, 5)


@pytest.mark.parametrize("form", FORMS)
def test_hooks(form, a):
    heard = []

    def body():
        tx = current_transaction()
        tx.before_commit(lambda: a.set(a.deref() + 1))
        tx.after_commit(lambda: heard.append(a.deref()))
        tx.after_rollback(lambda: heard.append("rolled back"))
        a.set(1)

    transact(form, body)
    assert heard == [2]


@pytest.mark.parametrize("form", FORMS)
def test_hooks_of_a_rollback(form, a):
    heard = []

    def body():
        current_transaction().after_rollback(lambda: heard.append("rolled back"))
        a.set(1)
        raise Failed

    with pytest.raises(Failed):
        transact(form, body)
    assert heard == ["rolled back"]


class Meanwhile:
    """A value; another thread commits while it is encoded."""

    def __init__(self, n):
        self.n = n

    def __reduce__(self):
        elsewhere(self.n.increment_and_get)
        return int, (1,)


@pytest.mark.parametrize("form", RERUN_FORMS)
def test_a_commit_of_another_thread_is_not_taken_for_ones_own(form, a, b, n):
    said = []
    a.set_validator(lambda value: value == 100)

    def body():
        tx = current_transaction()
        tx.after_commit(lambda: said.append("committed"))
        tx.after_rollback(lambda: said.append("rolled back"))
        b.set(Meanwhile(n))
        a.commute(lambda value: value + 1)  # refused at the end, in the queue

    with pytest.raises(ValidationError):
        transact(form, body)
    assert (said, a.deref(), b.deref(), n.get()) == (["rolled back"], 100, 0, 1)


def test_who_goes_on_after_waiting_in_vain_waits_again(a, b):
    """It has not got the queue, so it may not go on as if it had."""
    queue = a._home.engine.queue
    taken, done = Event(), Event()

    def hold():
        queue.take()
        taken.set()
        done.wait()
        queue.leave()

    other = start(hold)
    taken.wait()
    try:
        with pytest.raises(TransactionTimeout), dosync(timeout=0):
            with pytest.raises(TransactionTimeout):
                a.deref()
            b.set(1)
    finally:
        done.set()
        other.join()
    assert b.deref() == 0


def test_values_of_the_transaction(a):
    local = TransactionLocal(list)

    @dosync
    def body():
        local.get().append(1)
        a.set(len(local.get()))

    body()
    assert a.deref() == 1


def test_read_only(a):
    with pytest.raises(ReadOnlyError, match="Ref 'a'"):
        dosync(read_only=True)(lambda: a.set(1))()
    assert dosync(read_only=True)(a.deref)() == 100


def test_writes_need_a_transaction(a):
    with pytest.raises(NoTransactionError, match="Ref 'a'"):
        a.set(1)


def test_validators(space, a):
    atom = space.atom("atom", default=1, validator=lambda v: v < 10)
    a.set_validator(lambda v: v >= 0)
    with pytest.raises(ValidationError, match="Atom 'atom'"):
        atom.reset(10)
    with pytest.raises(ValidationError, match="Ref 'a'"):
        transact("decorator", lambda: (a.set(-1), atom.reset(2)))
    with pytest.raises(ValidationError):
        transact("decorator", lambda: a.commute(lambda v: -v))
    assert (a.deref(), atom.deref()) == (100, 1)


def test_no_validator_runs_with_the_queue_held(space):
    """It may take long, and may write, as any code of the user's."""
    held = []
    atom, n = space.atom("atom", default=1), space.integer("n")

    def validator(value):
        held.append(space._home.engine.queue.held)
        return n.increment_and_get() > 0

    atom.set_validator(validator)
    atom.reset(2)
    atom.swap(lambda v: v + 1)
    atom.compare_and_set(3, 4)
    assert (held, atom.deref(), n.get()) == ([False] * 4, 4, 4)


def test_watches(a, n):
    heard = []
    a.add_watch("w", lambda key, ref, old, new: heard.append((key, ref, old, new)))

    def body():
        a.set(1)
        a.set(2)
        n.increment_and_get()

    transact("decorator", body)
    assert heard == [("w", a, 100, 2)]
    with dosync():
        a.set(3)
    assert heard[1:] == [("w", a, 2, 3)]
    a.remove_watch("w")
    with dosync():
        a.set(4)
    assert len(heard) == 2


def use(ref, how):
    {"read": ref.deref, "write": lambda: ref.set(2), "commute": ref.commute}[how](
        *([int] if how == "commute" else [])
    )


WAYS = ["read", "write", "commute"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("second", WAYS)
@pytest.mark.parametrize("first", WAYS)
def test_refs_of_two_places(form, first, second, place, kind, a):
    """The call that touches the second place raises, whatever it does."""
    mine = atomos.Ref(1)

    def body(one, two):
        use(one, first)
        with pytest.raises(MixedSpacesError, match="one place") as told:
            use(two, second)
        raise told.value

    with atomos.multiprocessing.open(f"{place}/other", engine=kind) as space:
        other = space.ref("other", default=1)
        for one, two in ((a, other), (a, mine), (mine, a)):
            with pytest.raises(MixedSpacesError):
                transact(form, partial(body, one, two))
        assert (a.deref(), mine.deref(), other.deref()) == (100, 1, 1)


def test_they_are_told_of_a_ref_that_is_run_again(a):
    """An attempt that follows one that has written begins in another mode."""
    mine = atomos.Ref(1)
    runs = []

    @dosync
    def one():
        a.alter(lambda v: v + 1)
        runs.append(1)
        if len(runs) == 1:
            elsewhere(transact, "decorator", lambda: a.alter(lambda v: v + 1))
        else:
            mine.set(5)

    with pytest.raises(MixedSpacesError):
        one()
    assert (a.deref(), mine.deref()) == (101, 1)


def test_a_ref_of_this_process_that_was_lost_to_can_visit_later(a):
    mine = atomos.Ref(1)
    runs = []

    @dosync
    def one():
        runs.append(1)
        if len(runs) > 1:
            return a.set(2)
        mine.alter(lambda v: v + 1)
        elsewhere(transact, "decorator", lambda: mine.set(7))
        mine.deref()

    one()
    assert (a.deref(), mine.deref()) == (2, 7)


def test_a_write_outside_of_a_block_around_it_is_refused(a, n):
    """It would wait for that block, which waits for it."""
    with dosync():
        a.set(1)
        with pytest.raises(WouldDeadlockError, match="AtomicInteger"):
            outside(n.increment_and_get)
        with pytest.raises(WouldDeadlockError):
            outside(transact, "decorator", n.increment_and_get)
        assert outside(n.get) == 0
    assert (a.deref(), n.increment_and_get()) == (1, 1)


def test_agents_hear_of_the_commit(a):
    from atomos.agent import Agent, await_agents

    agent = Agent(0)

    @dosync
    def body():
        a.set(1)
        agent.send(lambda v: v + 1)

    body()
    await_agents(agent, timeout=30)
    assert agent.deref() == 1
