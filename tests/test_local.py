"""TransactionLocal: a value for each attempt; no_transaction: what must not repeat."""

from __future__ import annotations

import gc
import weakref

import pytest
from helpers import FORMS, Attempts, commit, elsewhere, transact

from atomos import (
    Ref,
    TransactionLocal,
    atomically,
    dosync,
    no_transaction,
    or_else,
    outside,
    retry,
)
from atomos.errors import InTransactionError, NoTransactionError

AGAIN = ("decorator", "function", "loop")


class Refused(Exception):
    pass


@pytest.mark.parametrize("form", FORMS)
def test_a_value_for_each_transaction(form):
    local, made = TransactionLocal(list), []

    def body():
        local.get().append(1)
        made.append(local.get())
        assert outside(atomically, local.get) == []
        return len(local.get())

    assert [transact(form, body) for _ in range(2)] == [1, 1]
    assert made[0] is not made[1]


@pytest.mark.parametrize("form", AGAIN)
def test_it_is_fresh_for_each_attempt(form):
    local, ref, tries = TransactionLocal(list), Ref(0), Attempts()

    def body():
        tries.begin()
        local.get().append(1)
        ref.set(ref.deref() + 1)
        tries.once(commit, ref, 5)
        return list(local.get())

    assert transact(form, body) == [1]
    assert tries.count == 2


@pytest.mark.parametrize("inner", FORMS)
@pytest.mark.parametrize("form", FORMS)
def test_a_part_that_is_undone_puts_it_back(form, inner):
    local, other = TransactionLocal(int), TransactionLocal(lambda: "made")

    def part():
        local.set(local.get() + 5)
        other.set("changed")
        raise Refused

    def body():
        local.set(1)
        with pytest.raises(Refused):
            transact(inner, part)
        found = local.get(), other.get()
        transact(inner, lambda: local.set(2))
        return found, local.get()

    assert transact(form, body) == ((1, "made"), 2)


def test_an_abandoned_alternative_puts_it_back():
    local, ref = TransactionLocal(int), Ref(0)

    def left():
        local.set(ref.deref() + 7)
        retry()

    assert or_else(left, local.get) == 0


def test_outside_of_a_transaction_it_has_no_value():
    local = TransactionLocal(int)
    for call in (local.get, lambda: local.set(1), lambda: outside(local.get)):
        with pytest.raises(NoTransactionError, match="TransactionLocal"):
            call()
    with pytest.raises(TypeError, match="TransactionLocal"):
        TransactionLocal(3)
    assert repr(local).startswith("TransactionLocal(<class 'int'>")


def test_a_factory_that_raises_leaves_no_value():
    def refuse():
        raise Refused

    local = TransactionLocal(refuse)

    @dosync
    def body():
        with pytest.raises(Refused):
            local.get()
        return local.set(3), local.get()

    assert body() == (3, 3)


def test_its_value_dies_with_the_transaction():
    class Value:
        pass

    local, values = TransactionLocal(Value), []
    atomically(lambda: values.append(weakref.ref(local.get())))
    atomically(lambda: None)
    gc.collect()
    assert values[0]() is None


# no_transaction


@no_transaction
def send():
    """Send something."""
    return "sent"


def enter():
    with no_transaction():
        return "sent"


@pytest.mark.parametrize("effect", [send, enter, no_transaction()(lambda: "sent")])
@pytest.mark.parametrize("form", AGAIN)
def test_effects_are_refused_where_they_could_be_repeated(form, effect):
    ref = Ref(0)

    def body():
        ref.set(1)
        return effect()

    with pytest.raises(InTransactionError, match="after_commit"):
        transact(form, body)
    with pytest.raises(InTransactionError):
        transact(form, lambda: transact("block", effect))
    assert ref.deref() == 0
    assert transact(form, lambda: outside(effect)) == "sent"
    assert transact(form, lambda: elsewhere(effect)) == "sent"


@pytest.mark.parametrize("effect", [send, enter])
def test_effects_are_allowed_where_they_happen_once(effect):
    assert effect() == "sent"
    assert transact("block", effect) == "sent"
    assert transact("block", lambda: atomically(effect)) == "sent"


def test_no_transaction_keeps_the_name():
    assert send.__name__ == "send"
    assert send.__doc__ == "Send something."
    with pytest.raises(TypeError, match="no_transaction"):
        no_transaction(3)
