"""What a type checker infers for Refs and Atoms, without a cast.

mypy checks these lines in `make check`; pytest runs them. A line that must be
refused has a `type: ignore`, and mypy complains if that is not needed any more.
"""
# mypy: warn-unreachable

from __future__ import annotations

import operator
from collections.abc import Callable
from fractions import Fraction
from typing import Any, assert_type

import pytest

from atomos import ARef, Atom, Ref, atomically, dosync
from atomos.errors import ValidationError

Counts = dict[str, int]


def clamp(value: int, low: int, *, high: int = 100) -> int:
    return max(low, min(value, high))


def put(counts: Counts, key: str, n: int) -> Counts:
    return {**counts, key: n}


def test_Ref() -> None:
    ref = Ref(1)
    assert_type(ref, Ref[int])
    assert_type(ref.deref(), int)
    assert_type(ref.history_count, int)
    ref.trim_history()
    with dosync():
        assert_type(ref.set(2), int)
        assert_type(ref.ensure(), int)
        assert_type(ref.alter(operator.add, 1), int)
        assert_type(ref.alter(lambda n: assert_type(n, int) + 1), int)
        assert_type(ref.alter(lambda n, m: n + m, 5), int)
        assert_type(ref.alter(max, 7), int)
        assert_type(ref.alter(abs), int)
        assert_type(ref.alter(clamp, 3, high=9), int)
        # mypy takes no lambda with a default for a function of one argument, here or
        # elsewhere. What it needs can be passed on instead, as above.
        ref.alter(lambda n, m=5: n + m)  # type: ignore[misc] # see above
        ref.commute(operator.add, 1)
        ref.commute(lambda n: assert_type(n, int) + 1)
        ref.commute(clamp, 3, high=9)
    assert_type(Ref(1).wait_for(bool), int)


def test_what_alter_and_commute_refuse() -> None:
    ref = Ref(1)
    with dosync():
        ref.set("1")  # type: ignore[arg-type] # it holds int
        ref.set(1)
        ref.alter(str)  # type: ignore[arg-type] # gives str
        ref.set(1)
        ref.commute(str)  # type: ignore[arg-type] # gives str
        ref.set(1)
        with pytest.raises(AttributeError):
            ref.alter(lambda n: n.upper())  # type: ignore[attr-defined] # n is an int
        with pytest.raises(TypeError):
            ref.alter(clamp, "3")  # type: ignore[arg-type] # low is an int
        with pytest.raises(TypeError):
            ref.alter(clamp, 3, hihg=9)  # type: ignore[call-arg] # is spelt high
        with pytest.raises(TypeError):
            ref.alter(operator.add)  # type: ignore[call-arg] # add takes two
    with pytest.raises(TypeError), dosync():
        ref.commute(clamp, "3")  # type: ignore[arg-type] # low is an int


def test_Refs_of_other_types() -> None:
    maybe: Ref[int | None] = Ref(None)
    table: Ref[Counts] = Ref({})
    items: Ref[tuple[str, ...]] = Ref(())
    assert_type(Ref(None), Ref[None])
    assert_type(Ref({"a": 1}), Ref[Counts])
    assert_type(Ref([(1, "a")]), Ref[list[tuple[int, str]]])
    with dosync():
        assert_type(maybe.alter(lambda n: (n or 0) + 1), int | None)
        assert_type(maybe.set(None), int | None)
        assert_type(table.alter(lambda d: {**d, "k": 1}), Counts)
        assert_type(table.alter(put, "k", 2), Counts)
        assert_type(table.alter(operator.or_, {"m": 3}), Counts)
        assert_type(items.alter(lambda t: (*t, "a")), tuple[str, ...])
    Ref[int](None)  # type: ignore[arg-type] # None is no int


def test_options_of_a_Ref() -> None:
    ref = Ref(
        1, name="one", validator=lambda n: n > 0, meta={"unit": "m"}, max_history=3
    )
    assert_type(ref, Ref[int])
    with pytest.raises(ValidationError):
        Ref(1, validator=str.upper)  # type: ignore[arg-type] # takes a str
    with pytest.raises(TypeError):
        Ref(1, name=1)  # type: ignore[arg-type] # a name is a str


def test_ARef() -> None:
    seen: list[int] = []

    def watch(key: str, ref: ARef[int], old: int, new: int) -> None:
        seen.append(new - old)

    ref: ARef[int] = Ref(1)
    ref.add_watch("typed", watch)
    ref.add_watch("lambda", lambda key, ref, old, new: old.bit_length() < new)
    assert_type(ref.get_watches(), dict[Any, Callable[[Any, Any, int, int], object]])
    ref.notify_watches(1, 2)
    ref.remove_watch("typed")
    ref.set_validator(lambda n: n.bit_length() < 64)
    assert_type(ref.get_validator(), Callable[[int], object] | None)
    ref.set_validator(None)
    assert_type(ref.meta(), Any)
    assert_type(ref.reset_meta(3), int)
    assert_type(ref.alter_meta(clamp, 5), int)
    assert seen == [1]
    assert_type(ARef(1).wait_for(bool, timeout=1), int)


def test_what_watches_and_validators_refuse() -> None:
    def watch(key: str, ref: Ref[str], old: str, new: str) -> None:
        raise AssertionError

    def validator(value: str) -> bool:
        return bool(value)

    ref = Ref(1)
    ref.add_watch("w", watch)  # type: ignore[arg-type] # the values are int
    ref.set_validator(validator)  # type: ignore[arg-type] # the value is an int
    with pytest.raises(TypeError):
        ref.add_watch([], print)  # type: ignore[arg-type] # a key must be hashable


def test_Atom() -> None:
    atom = Atom(1)
    assert_type(atom, Atom[int])
    assert_type(atom.deref(), int)
    assert_type(atom.swap(operator.add, 1), int)
    assert_type(atom.swap(lambda n: assert_type(n, int) + 1), int)
    assert_type(atom.swap(lambda n, m: n + m, 5), int)
    assert_type(atom.swap(clamp, 3, high=9), int)
    assert_type(atom.swap_vals(operator.add, 1), tuple[int, int])
    assert_type(atom.swap_vals(lambda n: assert_type(n, int) + 1), tuple[int, int])
    assert_type(atom.reset(5), int)
    assert_type(atom.reset_vals(6), tuple[int, int])
    assert_type(atom.compare_and_set(6, 7), bool)
    assert_type(atom.compare_and_set("another type", 7), bool)
    atom.reset("1")  # type: ignore[arg-type] # it holds int
    atom.reset_vals(1.0)  # type: ignore[arg-type] # it holds int
    atom.compare_and_set(1.0, "1")  # type: ignore[call-overload] # it holds int
    atom.reset(1)
    atom.swap(str)  # type: ignore[arg-type] # gives str
    atom.reset(1)
    atom.swap_vals(str)  # type: ignore[arg-type] # gives str
    atom.reset(1)
    with pytest.raises(TypeError):
        atom.swap(clamp, "3")  # type: ignore[arg-type] # low is an int
    assert_type(Atom("a").wait_for(str.isalpha, 1.5), str)


def test_Atom_of_a_dict() -> None:
    atom = Atom({"a": 1}, name="counts", validator=lambda d: "a" in d)
    empty: Atom[Counts] = Atom({})
    assert_type(atom, Atom[Counts])
    assert_type(atom.swap(lambda d: {**d, "b": 2}), Counts)
    assert_type(atom.swap(put, "c", 3), Counts)
    assert_type(atom.reset_vals({"a": 1}), tuple[Counts, Counts])
    assert_type(empty.deref(), Counts)


def test_methods_are_passed_on() -> None:
    ref, atom = Ref(1), Atom(Fraction(1))
    assert_type(atomically(ref.set, 2), int)
    assert_type(atomically(ref.ensure), int)
    assert_type(atomically(ref.alter, max, 9), int)
    assert_type(atomically(ref.alter, lambda n: n + 1), int)
    assert_type(atomically(ref.alter, clamp, 3, high=9), int)
    assert_type(atomically(atom.swap, operator.add, 1), Fraction)
    assert_type(list(map(Ref.deref, [ref, ref])), list[int])  # pyright: ignore[reportAssertTypeFailure] # unsolved for it
    atomically(ref.set, "2")  # type: ignore[arg-type] # it holds int
