"""or_else: the first alternative that does not wait; what the others did is undone."""

from __future__ import annotations

import pytest
from helpers import FORMS, asleep, commit, elsewhere, start, transact

from atomos import (
    Atom,
    AtomicInteger,
    Ref,
    TransactionLocal,
    atomically,
    check,
    current_transaction,
    dosync,
    or_else,
    retry,
)
from atomos.agent import Agent
from atomos.errors import RetryError, TransactionTimeout

AGAIN = ("decorator", "function", "loop")


class Refused(Exception):
    pass


@pytest.mark.parametrize("form", [*FORMS, "none"])
def test_the_first_that_does_not_wait(form):
    ref = Ref(1)

    def choose(*alternatives):
        def body():
            return or_else(*alternatives)

        return body() if form == "none" else transact(form, body)

    def waits():
        check(ref.deref() > 5)
        return "waited"

    assert choose(lambda: "a", waits) == "a"
    assert choose(waits, lambda: "b") == "b"
    assert choose(waits, waits, lambda: "c") == "c"
    assert choose(lambda: "d", lambda: pytest.fail("ran")) == "d"
    commit(ref, 6)
    assert choose(waits, lambda: "b") == "waited"


@pytest.mark.parametrize("form", FORMS)
def test_what_an_abandoned_one_did_is_undone(form):
    """Writes, commutes, what it wrote over, hooks, sends, and values of its own."""
    read, blind, over, summed = Ref(1), Ref(0), Ref(0), Ref(0)
    atom, number, agent = Atom(0), AtomicInteger(0), Agent(())
    local, hooks = TransactionLocal(int), []

    def left():
        tx = current_transaction()
        tx.after_commit(lambda: hooks.append("left"))
        tx.before_commit(lambda: hooks.append("before left"))
        agent.send(lambda state: (*state, "left"))
        local.set(9)
        read.alter(lambda n: n + 10)
        blind.set(10)
        over.set(20)
        over.alter(lambda n: n + 1)
        summed.commute(lambda n: n + 10)
        atom.reset(10)
        number.add_and_get(10)
        retry()

    def right():
        found = (read.deref(), over.deref(), atom.deref(), number.get(), local.get())
        current_transaction().after_commit(lambda: hooks.append("right"))
        agent.send(lambda state: (*state, "right"))
        return found

    def body():
        over.set(5)
        summed.commute(lambda n: n + 1)
        local.set(1)
        return or_else(left, right)

    assert transact(form, body) == (1, 5, 0, 0, 1)
    cells = (read, blind, over, summed, atom)
    assert [cell.deref() for cell in cells] == [1, 0, 5, 1, 0]
    assert number.get() == 0
    assert hooks == ["right"]
    assert agent.wait_for(bool) == ("right",)


@pytest.mark.parametrize("changed", [0, 1, 2])
@pytest.mark.parametrize("form", AGAIN)
def test_it_sleeps_until_what_any_of_them_read_changes(form, changed):
    """Also the first one's, which was left."""
    refs = [Ref(0, name=f"n{n}") for n in range(3)]

    def take(n):
        check(refs[n].deref())
        return n

    def body():
        return or_else(
            lambda: take(0), lambda: or_else(lambda: take(1), lambda: take(2))
        )

    job = start(transact, form, body)
    asleep(*refs)
    commit(refs[changed], 1)
    assert job.join() == changed
    assert [ref._sleepers for ref in refs] == [None] * 3


def test_what_an_abandoned_one_read_is_validated():
    """The second alternative runs because of it."""
    have, taken = Ref(False), Ref(None)
    runs = []

    def second():
        runs.append(None)
        if len(runs) == 1:
            elsewhere(commit, have, True)
        return "second"

    def first():
        check(have.deref())
        return "first"

    @dosync
    def body():
        taken.set(or_else(first, second))

    body()
    assert taken.deref() == "first"
    assert len(runs) == 1


def test_a_write_of_an_abandoned_one_is_no_reason_to_wait_or_to_lose():
    other, flag = Ref(0), Ref(0)

    def left():
        other.set(1)
        check(flag.deref())

    @dosync
    def body():
        or_else(left, lambda: elsewhere(commit, other, 7))

    body()
    assert other.deref() == 7


def test_an_alternative_that_raises_is_undone_and_raises():
    ref = Ref(0)

    def fails():
        ref.set(1)
        raise Refused

    @dosync
    def body():
        ref.set(5)
        with pytest.raises(Refused):
            or_else(fails, lambda: pytest.fail("ran"))
        assert ref.deref() == 5

    body()
    assert ref.deref() == 5


def test_in_a_plain_block_only_all_of_them_waiting_raises():
    flag, ref = Ref(0), Ref(0)

    def waits():
        ref.set(9)
        check(flag.deref())

    with dosync():
        assert or_else(waits, lambda: "other") == "other"
        assert ref.deref() == 0
        with pytest.raises(RetryError, match="use @dosync"):
            or_else(waits, waits)
        assert or_else(lambda: or_else(waits, waits), lambda: "outer") == "outer"
        ref.set(1)
    assert ref.deref() == 1


def test_timeout_bounds_all_of_it():
    left, right = Ref(0, name="left"), Ref(0, name="right")

    @dosync(timeout=0.05)
    def body():
        or_else(lambda: check(left.deref()), lambda: check(right.deref()))

    with pytest.raises(TransactionTimeout, match="Ref 'left', Ref 'right'"):
        body()


def test_it_composes_transactions_that_wait():
    """A queue of one place, and two of them: neither knows of the other."""

    class Place:
        def __init__(self):
            self.item = Ref(None)

        @dosync
        def put(self, item):
            check(self.item.deref() is None)
            self.item.set(item)

        @dosync
        def take(self):
            item = self.item.deref()
            check(item is not None)
            self.item.set(None)
            return item

    one, two = Place(), Place()

    def take_any():
        return or_else(one.take, two.take)

    jobs = [start(take_any) for _ in range(4)]
    for n, place in enumerate((one, two, two, one)):
        place.put(n)
    assert sorted(job.join() for job in jobs) == [0, 1, 2, 3]


@pytest.mark.parametrize("form", [*FORMS, "none"])
def test_one_that_only_waits_changes_nothing(form):
    """A law of Haskell's stm: retry is the neutral element of orElse."""

    def choose(*alternatives):
        def body():
            return or_else(*alternatives)

        return body() if form == "none" else transact(form, body)

    assert choose(retry, lambda: 1) == 1
    assert choose(lambda: 1, retry) == 1
    assert choose(lambda: or_else(retry, retry), lambda: 1) == 1
    with pytest.raises(RetryError, match="read anything"):
        choose(retry, retry)


def test_bad_alternatives():
    with pytest.raises(TypeError, match="or_else"):
        or_else(lambda: 1, 2)

    def generator():
        yield

    with pytest.raises(TypeError, match="or_else"):
        or_else(lambda: 1, generator)
    with pytest.raises(TypeError):
        or_else(lambda: 1)


@pytest.mark.parametrize("form", AGAIN)
def test_a_body_that_swallows_the_signal_of_all_of_them_waits(form):
    flag, ref = Ref(0), Ref(0)

    def body():
        ref.set(1)
        try:
            or_else(lambda: check(flag.deref()), lambda: check(flag.deref()))
        except BaseException:
            pass

    job = start(transact, form, body)
    asleep(flag)
    assert ref.deref() == 0
    commit(flag, 1)
    job.join()
    assert ref.deref() == 1


def test_one_that_swallows_the_signal_and_has_read_nothing():
    def swallows():
        try:
            retry()
        except BaseException:
            pass

    assert or_else(swallows, lambda: 1) == 1, "as if it had let it through"


def test_an_abandoned_one_in_a_transaction_that_was_read_only():
    ref, flag = Ref(3), Ref(0)

    @dosync(read_only=True)
    def body():
        return or_else(lambda: check(flag.deref()), ref.deref)

    assert body() == 3
    assert atomically(body) == 3
