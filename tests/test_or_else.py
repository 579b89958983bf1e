"""or_else, attacked: what an abandoned alternative did, read, held and swallowed."""

from __future__ import annotations

import contextlib

import pytest
from helpers import (
    FORMS,
    ISOLATIONS,
    PATIENCE,
    RERUN_FORMS,
    Attempts,
    commit,
    elsewhere,
    start,
    transact,
    until,
)
from interrupts import Tracer

from atomos import (
    Ref,
    TransactionLocal,
    atomically,
    check,
    current_transaction,
    dosync,
    or_else,
    retry,
)
from atomos.errors import (
    RetryError,
    TransactionTimeout,
)


class Broken(Exception):
    pass


class Stop(BaseException):
    pass


def positive(cell):
    """Wait until a cell is above 0; return it."""
    value = cell.deref()
    check(value > 0)
    return value


def asleep(*cells):
    """Wait until somebody sleeps until each of the cells changes."""
    until(lambda: all(cell._sleepers for cell in cells))


# What an abandoned alternative leaves behind


@pytest.mark.parametrize("isolation", ISOLATIONS)
@pytest.mark.parametrize("inner", [None, *FORMS])
@pytest.mark.parametrize("form", FORMS)
def test_what_an_abandoned_one_did_is_undone(form, inner, isolation):
    flag, a, b, c, d = (Ref(0) for _ in range(5))
    local = TransactionLocal(int)
    hooks = []

    def first():
        a.set(2)
        b.set(2)
        c.commute(lambda n: n + 10)
        d.commute(lambda n: n + 10)
        local.set(2)
        tx = current_transaction()
        tx.before_commit(lambda: hooks.append("before"))
        tx.after_commit(lambda: hooks.append("after"))
        if inner is None:
            retry_on_flag()
        else:
            transact(inner, retry_on_flag)

    def retry_on_flag():
        a.set(3)
        flag.deref()
        retry()

    def body():
        a.set(1)
        c.commute(lambda n: n + 1)
        local.set(1)
        assert or_else(first, lambda: (a.deref(), local.get())) == (1, 1)
        b.set(b.deref() + 5)
        current_transaction().after_commit(lambda: hooks.append("own"))

    transact(form, body, isolation=isolation)
    assert [cell.deref() for cell in (a, b, c, d)] == [1, 5, 1, 0]
    assert hooks == ["own"]


@pytest.mark.parametrize("form", FORMS)
def test_an_exception_undoes_the_alternative_that_raises_it(form):
    a, never = Ref(0), []

    def fails():
        a.set(2)
        raise Broken

    def body():
        a.set(1)
        with pytest.raises(Broken):
            or_else(fails, lambda: never.append(1))

    transact(form, body)
    assert a.deref() == 1
    assert not never


@pytest.mark.parametrize("form", RERUN_FORMS)
def test_what_an_abandoned_one_has_read_is_validated(form):
    """It is the reason why the other one ran."""
    flag, out, tries = Ref(0), Ref(0), Attempts()

    def second():
        tries.begin()
        if tries.count == 1:
            elsewhere(commit, flag, 7)
        return -1

    def body():
        out.set(or_else(lambda: positive(flag), second))

    transact(form, body)
    assert out.deref() == 7
    assert tries.count == 1


@pytest.mark.parametrize("form", RERUN_FORMS)
def test_one_that_is_lost_after_its_choice_runs_again_at_once(form):
    """It does not sleep for what an abandoned alternative has waited for."""
    flag, other, tries = Ref(0), Ref(0), Attempts()

    def second():
        tries.begin()
        value = other.deref()
        if tries.count == 1:
            elsewhere(commit, other, 5)
        other.set(value + 1)

    transact(form, lambda: or_else(lambda: positive(flag), second), timeout=5)
    assert other.deref() == 6
    assert tries.count == 2


# Waiting


@pytest.mark.parametrize("changed", range(3))
@pytest.mark.parametrize("form", RERUN_FORMS)
def test_if_all_wait_what_any_of_them_has_read_wakes(form, changed):
    cells = [Ref(0) for _ in range(3)]

    def body():
        return or_else(
            lambda: positive(cells[0]),
            lambda: or_else(lambda: positive(cells[1]), lambda: positive(cells[2])),
        )

    job = start(transact, form, body)
    asleep(*cells)
    commit(cells[changed], 5)
    assert job.join() == 5
    assert all(cell._sleepers is None for cell in cells)


def test_the_alternative_around_takes_it_if_all_inside_wait():
    a, b, order = Ref(0), Ref(0), []

    def inner(cell, name):
        order.append(name)
        positive(cell)

    def both():
        or_else(lambda: inner(a, "first"), lambda: inner(b, "second"))

    body = dosync(timeout=1)(lambda: or_else(both, lambda: "third"))
    assert body() == "third"
    assert order == ["first", "second"]


def test_outside_of_a_transaction_it_is_one():
    a = Ref(0)
    assert or_else(lambda: positive(a), lambda: a.set(1)) == 1
    assert a.deref() == 1


@pytest.mark.parametrize("form", ["block", "decorator"])
def test_in_a_plain_block_only_all_of_them_waiting_raises(form):
    """Also where a nested call is the one that waits."""
    a, b = Ref(0), Ref(0)
    with dosync():
        assert or_else(lambda: transact(form, lambda: positive(a)), lambda: 3) == 3
        with pytest.raises(RetryError, match="use @dosync"):
            or_else(lambda: positive(a), lambda: positive(b))
        with pytest.raises(RetryError, match="use @dosync"):
            positive(a)
        b.set(4)
    assert b.deref() == 4


def test_an_escalated_one_lets_go_of_what_any_alternative_holds():
    a, b, lost, tries = Ref(0), Ref(0), Ref(0), Attempts()

    def body():
        tries.begin()
        if tries.count <= 8:
            lost.deref()
            elsewhere(commit, lost, tries.count)
            return lost.set(-1)
        return or_else(
            lambda: (lost.set(-1), positive(a)), lambda: (b.set(-1), positive(a))
        )

    job = start(atomically, body)
    asleep(a)
    elsewhere(transact, "block", lambda: (lost.set(1), b.set(1), a.set(1)))
    job.join()
    assert tries.count == 10


# A signal that is swallowed


def swallows(cell):
    cell.deref()
    try:
        retry()
    except BaseException:
        pass


def swallows_and(cell, then):
    swallows(cell)
    return then()


def broken():
    raise Broken


@pytest.mark.parametrize("then", [lambda: 1, retry, broken])
@pytest.mark.parametrize("form", FORMS)
def test_one_that_swallows_the_signal_is_abandoned_all_the_same(form, then):
    a, b = Ref(0), Ref(0)

    def first():
        b.set(1)
        return swallows_and(a, then)

    assert transact(form, lambda: or_else(first, lambda: 2), timeout=1) == 2
    assert b.deref() == 0


def test_ctrl_c_in_one_that_has_swallowed_the_signal():
    a, never = Ref(0), []

    def stop():
        raise Stop

    with pytest.raises(Stop):
        or_else(lambda: swallows_and(a, stop), lambda: never.append(1))
    assert not never


@pytest.mark.parametrize("form", RERUN_FORMS)
def test_no_alternative_runs_where_the_signal_was_swallowed_before(form):
    a, ran = Ref(0), []

    def body():
        swallows(a)
        or_else(lambda: ran.append(1), lambda: ran.append(2))

    with pytest.raises(TransactionTimeout):
        transact(form, body, timeout=0)
    assert not ran


# What it is given


def test_what_cannot_be_called_is_refused():
    for bad in ((None, int), (int, None), (int, int, None)):
        with pytest.raises(TypeError, match="or_else"):
            or_else(*bad)


def test_retry_before_anything_was_read():
    assert or_else(retry, lambda: 1) == 1
    with pytest.raises(RetryError, match="before it has read anything"):
        or_else(retry, retry)


def test_an_error_from_outside_between_two_alternatives_is_no_reason_to_sleep():
    """It is dropped with the attempt, which `retry` has given up; the next one runs."""
    atomically(lambda: None)  # the thread is known from now on
    n = 0
    while True:
        n += 1
        ref, chosen = Ref(0), Ref(0)

        def fail():
            raise MemoryError

        def second(chosen=chosen):
            chosen.set(1)

        tracer = Tracer(n, fail)
        call = dosync(timeout=PATIENCE)(or_else)
        with contextlib.suppress(MemoryError):
            tracer.run(
                lambda ref=ref, call=call: call(lambda: check(ref.deref()), second)
            )
            assert chosen.deref() == 1, tracer.where
        if tracer.where is None:
            break
    assert n > 30
