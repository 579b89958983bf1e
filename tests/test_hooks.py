"""Hooks: when they run, in which order, and when they are dropped."""

from __future__ import annotations

import contextlib
import logging
import threading

import pytest
from helpers import (
    FORMS,
    PATIENCE,
    RERUN_FORMS,
    Attempts,
    commit,
    elsewhere,
    start,
    transact,
)
from interrupts import (
    Interrupted,
    interrupted_at_each_point,
    stopped_once,
    within,
)

from atomos import Atom, Ref, atomically, current_transaction, dosync
from atomos.errors import (
    CommuteError,
    NoTransactionError,
    ReadOnlyError,
    TransactionAborted,
    TransactionStateError,
    TransactionTimeout,
    ValidationError,
)
from atomos.stm._runner import finish
from atomos.stm._transaction import ESCALATE_AFTER

KINDS = ("before_commit", "after_commit", "after_rollback")


class Broken(Exception):
    pass


class Stop(BaseException):
    pass


def register(when, fn):
    getattr(current_transaction(), when)(fn)


def raises(error):
    raise error


# The handle


def test_there_is_none_outside():
    assert current_transaction() is None
    elsewhere(lambda: None)
    with dosync():
        assert current_transaction() is not None
        assert elsewhere(current_transaction) is None
    assert current_transaction() is None


@pytest.mark.parametrize("form", FORMS)
def test_it_tells_the_attempt(form):
    ref, tries, seen = Ref(0), Attempts(), []

    def body():
        tries.begin()
        ref.deref()
        if form != "block":
            tries.once(commit, ref, 1)
        ref.set(2)
        seen.append(current_transaction().attempt)
        transact("decorator", lambda: seen.append(current_transaction().attempt))

    transact(form, body)
    expected = [1, 1] if form == "block" else [1, 1, 2, 2]
    assert seen[-len(expected) :] == expected[-len(seen) :]
    assert seen[-1] == tries.count


@pytest.mark.parametrize("used", [*KINDS, "attempt"])
@pytest.mark.parametrize("form", FORMS)
def test_a_handle_that_is_used_too_late(form, used):
    kept = []

    def use(handle):
        with pytest.raises(TransactionStateError, match=used):
            if used == "attempt":
                handle.attempt
            else:
                getattr(handle, used)(print)

    transact(form, lambda: kept.append(current_transaction()))
    use(kept[0])
    atomically(use, kept[0])


@pytest.mark.parametrize("when", KINDS)
def test_a_handle_that_is_used_by_another_thread(when):
    with dosync() as tx:
        for handle in (tx, current_transaction()):
            with pytest.raises(TransactionStateError, match="another thread"):
                elsewhere(getattr(handle, when), print)


def test_the_handle_of_a_lost_attempt_is_over():
    ref, tries, kept = Ref(0), Attempts(), []

    def body():
        tries.begin()
        kept.append(current_transaction())
        ref.deref()
        tries.once(commit, ref, 1)
        if tries.count == 2:
            with pytest.raises(TransactionStateError):
                kept[0].after_commit(print)
        ref.set(2)

    atomically(body)
    assert tries.count == 2


@pytest.mark.parametrize("when", KINDS)
def test_what_cannot_be_called_is_refused(when):
    with dosync() as tx:
        for handle in (tx, current_transaction()):
            with pytest.raises(TypeError, match=when):
                getattr(handle, when)(3)


def test_a_commute_has_no_handle():
    ref = Ref(0)
    with pytest.raises(CommuteError), dosync():
        ref.commute(lambda n: current_transaction())


@pytest.mark.parametrize("form", ["loop", "block"])
def test_the_block_itself_is_a_handle(form):
    seen = []

    def add(tx):
        tx.before_commit(lambda: seen.append("before"))
        tx.after_commit(lambda: seen.append("after"))
        tx.after_rollback(lambda: seen.append("never"))

    if form == "block":
        with dosync() as tx:
            add(tx)
    else:
        for tx in dosync():
            with tx:
                add(tx)
    assert seen == ["before", "after"]
    with pytest.raises(TransactionStateError):
        tx.after_commit(print)


# before_commit


@pytest.mark.parametrize("form", FORMS)
def test_before_commit_is_inside(form):
    a, b, c, order = Ref(1), Ref(0), Atom(0), []

    def first():
        order.append("first")
        b.set(a.deref() + 1)
        register("before_commit", third)

    def third():
        order.append("third")
        c.reset(b.deref() + 1)
        assert elsewhere(b.deref) == 0

    def body():
        register("before_commit", first)
        register("before_commit", lambda: order.append("second"))
        a.set(5)

    transact(form, body)
    assert order == ["first", "second", "third"]
    assert (a.deref(), b.deref(), c.deref()) == (5, 6, 7)


@pytest.mark.parametrize("error", [Broken, Stop])
@pytest.mark.parametrize("form", FORMS)
def test_before_commit_that_raises(form, error):
    ref, order = Ref(0), []

    def body():
        ref.set(1)
        register("before_commit", lambda: raises(error))
        register("before_commit", lambda: order.append("never"))
        register("after_commit", lambda: order.append("never"))
        register("after_rollback", lambda: order.append("rolled back"))

    with pytest.raises(error):
        transact(form, body)
    assert (ref.deref(), order) == (0, ["rolled back"])
    elsewhere(commit, ref, 2)


@pytest.mark.parametrize("swallow", ["", "swallow", "raise"])
@pytest.mark.parametrize("form", RERUN_FORMS)
def test_before_commit_that_is_lost_is_run_again_with_all(form, swallow):
    """Whatever it makes of the signal; an `Exception` is dropped with the attempt."""
    a, b, tries, order = Ref(0), Ref(0), Attempts(), []

    def hook():
        order.append(tries.count)
        tries.once(commit, a, 1, b, 1)
        try:
            b.deref()
        except BaseException:
            if swallow == "raise":
                raise Broken from None
            if not swallow:
                raise

    def body():
        tries.begin()
        a.deref()
        Ref(0).set(1)
        register("before_commit", hook)

    transact(form, body)
    assert order == [1, 2]


def test_before_commit_of_a_reader_may_not_write():
    ref = Ref(0)

    @dosync(read_only=True)
    def body():
        register("before_commit", lambda: ref.set(1))

    with pytest.raises(ReadOnlyError):
        body()


# after_commit


@pytest.mark.parametrize("written", [0, 1, 2, 3])
@pytest.mark.parametrize("form", FORMS)
def test_after_commit_is_outside(form, written):
    """Whichever way it was committed."""
    refs, order = [Ref(0) for _ in range(3)], []

    def hook(name):
        order.append(name)
        assert current_transaction() is None
        assert [ref.deref() for ref in refs].count(1) == written
        with pytest.raises(NoTransactionError):
            refs[0].set(5)
        atomically(refs[0].deref)

    def body():
        register("after_commit", lambda: hook("first"))
        for ref in refs[:written]:
            ref.set(1)
        transact("decorator", lambda: register("after_commit", lambda: hook("second")))
        register("after_rollback", lambda: order.append("never"))

    transact(form, body)
    assert order == ["first", "second"]
    transact(form, lambda: None)
    assert order == ["first", "second"]


@pytest.mark.parametrize("form", RERUN_FORMS)
def test_hooks_of_an_attempt_that_is_run_again_never_run(form):
    ref, tries, order = Ref(0), Attempts(), []

    def body():
        tries.begin()
        for when in KINDS:
            register(when, lambda n=tries.count, when=when: order.append((when, n)))
        ref.deref()
        tries.once(commit, ref, 1)
        ref.set(2)

    transact(form, body)
    # That one was lost when it committed, so it came to the first kind.
    assert order == [("before_commit", 1), ("before_commit", 2), ("after_commit", 2)]


@pytest.mark.parametrize("form", FORMS)
def test_after_commit_and_watches_that_raise(form, caplog):
    """All are called, and reported."""
    caplog.set_level(logging.ERROR, "atomos")
    ref, order = Ref(0), []

    def report(name):
        order.append(name)
        raise Broken(name)

    ref.add_watch("one", lambda *_: report("watch"))

    def body():
        ref.set(1)
        register("after_commit", lambda: report("hook 1"))
        register("after_commit", lambda: report("hook 2"))

    transact(form, body)
    assert order == ["watch", "hook 1", "hook 2"]
    assert ref.deref() == 1
    assert [str(record.exc_info[1]) for record in caplog.records] == order


@pytest.mark.parametrize("who", ["watch", "hook"])
def test_what_is_no_exception_arrives_when_all_have_run(who):
    ref, order = Ref(0), []
    if who == "watch":
        ref.add_watch("one", lambda *_: raises(Stop))

    def body():
        ref.set(1)
        if who == "hook":
            register("after_commit", lambda: raises(Stop))
        register("after_commit", lambda: order.append("last"))

    with pytest.raises(Stop):
        atomically(body)
    assert (ref.deref(), order) == (1, ["last"])


def test_a_transaction_that_is_used_again_has_no_hooks():
    order = []
    for _ in range(3):
        atomically(lambda: register("after_commit", lambda: order.append("hook")))
        atomically(lambda: None)
        with contextlib.suppress(Broken):
            atomically(raises, Broken)
    assert order == ["hook"] * 3


# after_rollback


@pytest.mark.parametrize("error", [Broken, Stop])
@pytest.mark.parametrize("form", FORMS)
def test_after_rollback(form, error, caplog):
    caplog.set_level(logging.ERROR, "atomos")
    ref, order = Ref(0), []

    def hook():
        order.append("hook")
        assert current_transaction() is None
        elsewhere(commit, ref, 5)
        raise Broken("reported")

    def body():
        ref.set(1)
        ref.deref()
        register("after_commit", lambda: order.append("never"))
        register("after_rollback", hook)
        register("after_rollback", lambda: order.append("second"))
        raise error

    with pytest.raises(error):
        transact(form, body)
    assert order == ["hook", "second"]
    assert ref.deref() == 5
    assert len(caplog.records) == 1


def refuse(n):
    return n == 0


@pytest.mark.parametrize("form", FORMS)
def test_after_rollback_of_a_commit_that_is_refused(form):
    ref, order = Ref(0, validator=refuse), []

    def body():
        ref.set(1)
        register("after_rollback", lambda: order.append("hook"))

    with pytest.raises(ValidationError):
        transact(form, body)
    assert order == ["hook"]


@pytest.mark.parametrize("limit", ["max_attempts", "timeout"])
@pytest.mark.parametrize("form", ["decorator", "loop"])
def test_after_rollback_of_one_that_gives_up(form, limit):
    """The last attempt's hooks only."""
    ref, tries, order = Ref(0), Attempts(), []

    def body():
        tries.begin()
        register("after_rollback", lambda n=tries.count: order.append(n))
        ref.deref()
        elsewhere(commit, ref, tries.count)
        ref.set(-1)

    options = {"max_attempts": 3} if limit == "max_attempts" else {"timeout": 0}
    expected = TransactionAborted if limit == "max_attempts" else TransactionTimeout
    with pytest.raises(expected):
        transact(form, body, **options)
    assert order == [tries.count]


@pytest.mark.parametrize("ending", ["close", "drop"])
@pytest.mark.parametrize("form", ["loop", "block"])
def test_after_rollback_of_a_generator_that_is_dropped(form, ending):
    order = []

    def generator():
        if form == "block":
            with dosync() as tx:
                tx.after_rollback(lambda: order.append("hook"))
                yield
        else:
            for tx in dosync():
                with tx:
                    tx.after_rollback(lambda: order.append("hook"))
                    yield

    kept = generator()
    next(kept)
    if ending == "close":
        kept.close()
    del kept
    assert order == ["hook"]


@pytest.mark.parametrize("cells", [1, 2, 3])
@pytest.mark.parametrize("form", FORMS)
def test_after_rollback_never_runs_where_it_has_committed(form, cells, quiet_hook):
    """An exception from outside may come in after the commit point."""
    state = []

    def scenario(tracer):
        refs, order = state[:] = [Ref(0) for _ in range(cells)], []

        def body():
            for ref in refs:
                ref.set(1)
            tracer.armed = False
            register("after_rollback", lambda: order.append("rollback"))
            register("after_commit", lambda: order.append("commit"))
            order.append("known")
            tracer.armed = True

        return lambda: transact(form, body)

    def check():
        refs, order = state
        known = order.pop(0) if order else None
        allowed = [["commit"], []] if refs[0].deref() else [["rollback"]]
        assert known is None or order in allowed

    assert elsewhere(interrupted_at_each_point, scenario, check) > 10


@pytest.mark.parametrize("form", ["decorator", "loop"])
def test_after_rollback_of_one_whose_turn_does_not_come(form):
    """It has lost so often that it waits for a plain block, longer than it may."""
    ref, tries, order = Ref(0), Attempts(), []
    entered, leave, blocks = threading.Event(), threading.Event(), []

    def block():
        with dosync():
            entered.set()
            leave.wait(PATIENCE)

    def body():
        tries.begin()
        register("after_rollback", lambda n=tries.count: order.append(n))
        ref.deref()
        elsewhere(commit, ref, tries.count)
        if tries.count == ESCALATE_AFTER:
            blocks.append(start(block))
            assert entered.wait(PATIENCE)
        ref.set(-1)

    with pytest.raises(TransactionTimeout):
        transact(form, body, timeout=1)
    leave.set()
    blocks[0].join()
    assert order == [tries.count] == [ESCALATE_AFTER]


@pytest.mark.parametrize("ending", ["ends", "is closed"])
@pytest.mark.parametrize("form", ["loop", "block"])
def test_after_rollback_of_a_block_that_is_left_in_another_thread(form, ending):
    order = []

    def generator():
        if form == "block":
            with dosync() as tx:
                tx.after_rollback(lambda: order.append("hook"))
                yield
        else:
            for tx in dosync():
                with tx:
                    tx.after_rollback(lambda: order.append("hook"))
                    yield

    kept = generator()
    next(kept)
    if ending == "ends":
        with pytest.raises(TransactionStateError, match="in another thread"):
            elsewhere(next, kept, None)
    else:
        elsewhere(kept.close)
    assert order == ["hook"]


@pytest.mark.parametrize("form", FORMS)
def test_after_rollback_where_an_exception_hits_the_end(form, quiet_hook):
    order = []

    def body():
        register("after_rollback", lambda: order.append("hook"))
        raise Broken

    def interrupt():
        raise Interrupted

    with pytest.raises(Interrupted):
        stopped_once(lambda: transact(form, body), within(finish), interrupt)
    assert order == ["hook"]
