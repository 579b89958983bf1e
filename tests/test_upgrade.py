"""What code written for atomos 0.3.1 calls, by the names that it used.

The names are those of the source of 0.3.1, which is no dependency of the tests.
"""

from __future__ import annotations

import inspect

import pytest

from atomos import Atom, atom, atomic
from atomos.atom import ARef
from atomos.atomic import (
    AtomicBoolean,
    AtomicFloat,
    AtomicInteger,
    AtomicLong,
    AtomicNumber,
    AtomicReference,
)

AREF = {
    "get_watches": [],
    "add_watch": ["key", "fn"],
    "remove_watch": ["key"],
    "notify_watches": ["oldval", "newval"],
}
REFERENCE = {
    "get": [],
    "set": ["value"],
    "get_and_set": ["value"],
    "compare_and_set": ["expect", "update"],
}
NUMBER = REFERENCE | {
    "add_and_get": ["delta"],
    "get_and_add": ["delta"],
    "subtract_and_get": ["delta"],
    "get_and_subtract": ["delta"],
}

#: Each public class of 0.3.1, what it is made of, and its public methods.
CLASSES = {
    ARef: ([], AREF),
    Atom: (
        ["state"],
        AREF
        | {
            "deref": [],
            "swap": ["fn"],
            "reset": ["newval"],
            "compare_and_set": ["oldval", "newval"],
        },
    ),
    AtomicReference: (["value"], REFERENCE),
    AtomicBoolean: (["value"], REFERENCE),
    AtomicNumber: (["value"], NUMBER),
    AtomicInteger: (["value"], NUMBER),
    AtomicLong: (["value"], NUMBER),
    AtomicFloat: (["value"], NUMBER),
}
CALLS = [
    (kind, name, parameters)
    for kind, (made_of, methods) in CLASSES.items()
    for name, parameters in [("__init__", made_of), *methods.items()]
]


@pytest.mark.parametrize(("kind", "name", "parameters"), CALLS)
def test_each_call_of_0_3_takes_its_arguments_by_name_and_in_order(
    kind, name, parameters
):
    signature = inspect.signature(getattr(kind, name))
    for by_name in range(len(parameters) + 1):
        cut = len(parameters) - by_name
        signature.bind("self", *parameters[:cut], **dict.fromkeys(parameters[cut:]))


def test_the_classes_are_where_they_were():
    assert (atom.Atom, atom.ARef) == (Atom, ARef)
    for kind in CLASSES.keys() - {Atom, ARef}:
        assert getattr(atomic, kind.__name__) is kind


# Atom


def test_an_atom_is_made_of_a_state():
    assert Atom(state=1).deref() == 1
    assert Atom(state=None).deref() is None
    assert Atom(value=1).deref() == 1
    assert repr(Atom(state=1, name="n")) == "Atom(1, name='n')"


def test_swap_by_name():
    one = Atom(1)
    assert one.swap(fn=lambda n: n + 1) == 2
    assert one.swap(fn=lambda n, by: n + by, by=5) == 7
    assert one.swap(lambda n, by: n + by, by=5) == 12
    with pytest.raises(TypeError, match="swap needs a function"):
        one.swap(fn=None)


def test_reset_by_name():
    one = Atom(1)
    assert one.reset(newval=2) == 1
    assert one.reset_vals(newval=3) == (2, 3)
    assert one.deref() == 3


@pytest.mark.parametrize("names", [("old", "new"), ("oldval", "newval")])
def test_compare_and_set_by_name(names):
    one, (old, new) = Atom(1), names
    assert one.compare_and_set(**{old: 5, new: 6}) is False
    assert one.compare_and_set(**{old: 1, new: 2}) is True
    assert one.compare_and_set(2, **{new: None}) is True
    assert one.compare_and_set(**{new: 4, old: None}) is True
    assert one.deref() == 4


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda one: Atom(), "missing.*'value'"),
        (lambda one: Atom(1, state=2), "multiple values.*'value'"),
        (lambda one: Atom(value=1, state=1), "multiple values.*'value'"),
        (lambda one: Atom(1, stat=2), "unexpected.*'stat'"),
        (lambda one: Atom(stat=2), "unexpected.*'stat'"),
        (lambda one: one.compare_and_set(), "missing.*'old'"),
        (lambda one: one.compare_and_set(1), "missing.*'new'"),
        (lambda one: one.compare_and_set(new=2), "missing.*'old'"),
        (lambda one: one.compare_and_set(newval=2), "missing.*'old'"),
        (lambda one: one.compare_and_set(1, 2, oldval=1), "multiple values.*'old'"),
        (lambda one: one.compare_and_set(1, 2, newval=2), "multiple values.*'new'"),
        (lambda one: one.compare_and_set(1, 2, newest=2), "unexpected.*'newest'"),
        (lambda one: one.compare_and_set(1, 2, 3), "positional"),
    ],
)
def test_wrong_arguments_are_told_as_python_does(call, text):
    one = Atom(1)
    with pytest.raises(TypeError, match=text):
        call(one)
    assert one.deref() == 1


# Watches


@pytest.mark.parametrize("kind", [ARef, Atom])
def test_watches_by_name(kind):
    ref = kind() if kind is ARef else kind(0)
    seen = []
    ref.add_watch(key="k", fn=lambda *args: seen.append(args))
    ref.notify_watches(oldval=1, newval=2)
    ref.notify_watches(3, newval=4)
    ref.remove_watch(key="k")
    ref.notify_watches(oldval=5, newval=6)
    assert seen == [("k", ref, 1, 2), ("k", ref, 3, 4)]


# A number without a value


def test_a_number_without_a_value():
    number = AtomicNumber()
    assert number.get() is None
    assert repr(number) == "AtomicNumber(None)"
    for call in (number.add_and_get, number.get_and_add, number.subtract_and_get):
        with pytest.raises(TypeError):
            call(1)
    assert number.get() is None
    assert number.get_and_set(5) is None
    assert number.add_and_get(2) == 7
    other = AtomicNumber()
    assert other.compare_and_set(expect=None, update=1) is True
    assert other.get() == 1
    with pytest.raises(TypeError, match="nothing was changed"):
        other.set(None)


@pytest.mark.parametrize("kind", [AtomicInteger, AtomicLong, AtomicFloat])
def test_a_typed_number_has_one_from_the_start(kind):
    with pytest.raises(TypeError, match="nothing was changed"):
        kind(None)


def test_a_wrong_type_is_refused_also_where_nothing_would_be_set():
    """0.3.1 returned False here: the value is not the one that is expected."""
    number = AtomicInteger(1)
    with pytest.raises(TypeError, match="int only, not str 'x'"):
        number.compare_and_set(2, "x")
    assert number.get() == 1


# What the README says differs


class Loud(Atom):
    def notify_watches(self, oldval, newval):
        self.seen = [*getattr(self, "seen", ()), (oldval, newval)]


def test_attributes_and_a_notify_watches_of_a_subclass():
    for plain in (Atom(0), AtomicInteger(0), ARef()):
        with pytest.raises(AttributeError):
            plain.seen = 1
    loud = Loud(0)
    loud.reset(1)
    loud.add_watch("key", print)
    loud.swap(lambda n: n + 1)
    assert loud.seen == [(1, 2)]


def test_a_number_of_any_type_but_only_a_number():
    with pytest.raises(TypeError, match="nothing was changed"):
        AtomicNumber("a")
