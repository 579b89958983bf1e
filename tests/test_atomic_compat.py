"""Atomics: what atomos 0.3 does, the table of types, and the examples."""

from __future__ import annotations

import doctest
import importlib
import math
import pkgutil
import tracemalloc
from fractions import Fraction

import pytest

import atomos.atomic
from atomos import Ref, dosync
from atomos.atomic import (
    AtomicBoolean,
    AtomicFloat,
    AtomicInteger,
    AtomicIntegerArray,
    AtomicLong,
    AtomicMarkableReference,
    AtomicNumber,
    AtomicReference,
    AtomicReferenceArray,
    AtomicStampedReference,
    LongAccumulator,
    LongAdder,
)
from atomos.errors import CommuteError, ReadOnlyError

INTS = [AtomicInteger, AtomicLong]
NUMBERS = [*INTS, AtomicFloat, AtomicNumber]

MODULES = [
    f"atomos.atomic.{module.name}"
    for module in pkgutil.iter_modules(atomos.atomic.__path__)
]


class TrueInt(int):
    """A subclass of int."""


# The 0.3 table


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (AtomicReference, None),
        (AtomicBoolean, False),
        (AtomicInteger, 0),
        (AtomicLong, 0),
        (AtomicFloat, 0.0),
    ],
)
def test_default_and_keyword_value(kind, value):
    assert kind().get() == value
    assert type(kind().get()) is type(value)
    assert kind(value=value).get() == value


def test_values_are_given_back_as_in_0_3():
    ref = AtomicReference("a")
    assert ref.set(value="b") == "b"
    assert ref.get_and_set(value="c") == "b"
    assert ref.compare_and_set(expect="c", update="d") is True
    assert ref.compare_and_set("c", "e") is False
    assert ref.get() == "d"


@pytest.mark.parametrize("kind", NUMBERS)
def test_arithmetic_gives_back_as_in_0_3(kind):
    one, two, five, seven = (
        type(kind(1.0 if kind is AtomicFloat else 1).get())(n) for n in (1, 2, 5, 7)
    )
    number = kind(five)
    assert number.add_and_get(delta=two) == seven
    assert number.get_and_add(delta=one) == seven
    assert number.subtract_and_get(delta=one) == seven
    assert number.get_and_subtract(delta=two) == seven
    assert number.get() == five
    assert number.increment_and_get() == 6
    assert number.get_and_increment() == 6
    assert number.decrement_and_get() == 6
    assert number.get_and_decrement() == 6
    assert number.get() == five
    assert type(number.get()) is type(five)


@pytest.mark.parametrize(
    ("kind", "bases"),
    [
        (AtomicBoolean, (AtomicReference,)),
        (AtomicInteger, (AtomicNumber, AtomicReference)),
        (AtomicLong, (AtomicNumber, AtomicReference)),
        (AtomicFloat, (AtomicNumber, AtomicReference)),
    ],
)
def test_class_tree_is_that_of_0_3(kind, bases):
    assert all(issubclass(kind, base) for base in bases)


# Types

FITS = [
    (AtomicInteger, 5, [0, True, 2**100, TrueInt(3)], [1.5, 1.0, "1", None, 1j]),
    (AtomicLong, 5, [0, True, 2**100, TrueInt(3)], [1.5, 1.0, "1", None, 1j]),
    (AtomicFloat, 0.5, [0.0, math.inf], [1, True, "1", None, 1j]),
    (AtomicBoolean, False, [True, False], [0, 1, None, "", 1.0]),
    (AtomicNumber, 5, [1, 1.5, True, Fraction(1, 3)], ["1", None]),
]

#: Each way to store a value.
WAYS = {
    "set": lambda a, v: a.set(v),
    "get_and_set": lambda a, v: a.get_and_set(v),
    "compare_and_set": lambda a, v: a.compare_and_set(a.get(), v),
    "compare_and_set, unequal": lambda a, v: a.compare_and_set("no", v),
    "compare_and_set_identity": lambda a, v: a.compare_and_set_identity(a.get(), v),
    "compare_and_exchange": lambda a, v: a.compare_and_exchange(a.get(), v),
    "update_and_get": lambda a, v: a.update_and_get(lambda _: v),
    "get_and_update": lambda a, v: a.get_and_update(lambda _: v),
    "accumulate_and_get": lambda a, v: a.accumulate_and_get(v, lambda _, x: x),
    "get_and_accumulate": lambda a, v: a.get_and_accumulate(v, lambda _, x: x),
}


@pytest.mark.parametrize("joined", [False, True])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("kind", "start", "good", "bad"), FITS)
def test_wrong_type_is_refused_before_anything_changes(
    kind, start, good, bad, way, joined
):
    atomic = kind(start)
    for value in bad:
        with pytest.raises(TypeError, match="nothing was changed"):
            kind(value)
        if joined:
            with dosync():
                with pytest.raises(TypeError, match="nothing was changed"):
                    WAYS[way](atomic, value)
        else:
            with pytest.raises(TypeError, match="nothing was changed"):
                WAYS[way](atomic, value)
        assert atomic.get() is start
    if "unequal" in way:
        return
    for value in good:
        assert kind(value).get() is value
        if joined:
            with dosync():
                WAYS[way](atomic, value)
        else:
            WAYS[way](atomic, value)
        assert atomic.get() is value


@pytest.mark.parametrize("joined", [False, True])
@pytest.mark.parametrize(
    "call", ["add_and_get", "get_and_add", "subtract_and_get", "get_and_subtract"]
)
@pytest.mark.parametrize(
    ("kind", "start", "delta"),
    [
        (AtomicInteger, 5, 1.5),
        (AtomicLong, 5, 1.0),
        (AtomicInteger, 5, "1"),
        (AtomicInteger, 5, None),
        (AtomicFloat, 0.5, 1j),
        (AtomicFloat, 0.5, "1"),
    ],
)
def test_result_of_wrong_type_is_refused(kind, start, delta, call, joined):
    atomic = kind(start)
    atomic.set(start)  # add_and_get treats new ones in another way
    if joined:
        with dosync():
            with pytest.raises(TypeError):
                getattr(atomic, call)(delta)
    else:
        with pytest.raises(TypeError):
            getattr(atomic, call)(delta)
    assert atomic.get() is start


def test_bools_become_ints_when_added_to():
    flagged = AtomicInteger(True)
    assert flagged.get() is True
    assert flagged.add_and_get(True) == 2
    assert type(flagged.get()) is int


def test_floats_take_ints_as_delta():
    total = AtomicFloat(0.5)
    assert total.add_and_get(1) == 1.5
    assert total.get_and_subtract(1) == 1.5
    assert total.increment_and_get() == 1.5


def test_ints_do_not_overflow():
    assert AtomicInteger(2**31 - 1).increment_and_get() == 2**31
    assert AtomicLong(2**63 - 1).increment_and_get() == 2**63
    adder = LongAdder()
    adder.add(2**200)
    assert adder.sum() == 2**200


# Comparing


def test_equal_is_not_identical():
    one, other = [1], [1]
    ref = AtomicReference(one)
    assert not ref.compare_and_set_identity(other, "x")
    assert ref.get() is one
    assert ref.compare_and_set_identity(one, other)
    assert ref.compare_and_set(one, "x")
    assert ref.get() == "x"


def test_witness():
    number = AtomicInteger(5)
    assert number.compare_and_exchange(4, 9) == 5
    assert number.get() == 5
    assert number.compare_and_exchange(5.0, 9) == 5
    assert number.get() == 9


def test_atomics_are_equal_to_themselves_only():
    one, other = AtomicInteger(1), AtomicInteger(1)
    assert one == one
    assert one != other
    assert len({one, other}) == 2


# Functions


@pytest.mark.parametrize(
    "call",
    [
        lambda fn: AtomicReference(5).update_and_get(fn),
        lambda fn: AtomicInteger(5).get_and_update(fn),
        lambda fn: AtomicInteger(5).accumulate_and_get(1, fn),
        lambda fn: AtomicReference(5).get_and_accumulate(1, fn),
        lambda fn: AtomicReferenceArray(1).update_and_get(0, fn),
        lambda fn: AtomicIntegerArray(1).get_and_accumulate(0, 1, fn),
        lambda fn: LongAccumulator(fn, 0),
    ],
)
def test_what_is_not_a_function_is_refused(call):
    with pytest.raises(TypeError, match="needs a function, not int 7"):
        call(7)


def test_argument_order_of_accumulate():
    ref = AtomicReference("a")
    assert ref.accumulate_and_get("b", lambda value, x: value + x) == "ab"
    assert ref.get_and_accumulate("c", lambda value, x: value + x) == "ab"
    assert ref.get() == "abc"
    array = AtomicReferenceArray(["a"])
    assert array.accumulate_and_get(0, "b", lambda value, x: value + x) == "ab"
    assert array.get_and_accumulate(0, "c", lambda value, x: value + x) == "ab"
    assert array.get(0) == "abc"


# Conversions and looks


@pytest.mark.parametrize(
    ("atomic", "text"),
    [
        (AtomicReference("a"), "AtomicReference('a')"),
        (AtomicBoolean(True), "AtomicBoolean(True)"),
        (AtomicInteger(3), "AtomicInteger(3)"),
        (AtomicLong(3), "AtomicLong(3)"),
        (AtomicFloat(0.5), "AtomicFloat(0.5)"),
        (AtomicReferenceArray("ab"), "AtomicReferenceArray(['a', 'b'])"),
        (AtomicIntegerArray(2), "AtomicIntegerArray([0, 0])"),
        (AtomicStampedReference("a", 1), "AtomicStampedReference('a', 1)"),
        (AtomicMarkableReference("a", True), "AtomicMarkableReference('a', True)"),
        (LongAdder(), "LongAdder(0)"),
        (LongAccumulator(max, 4), "LongAccumulator(4)"),
    ],
)
def test_repr(atomic, text):
    assert repr(atomic) == text


def test_int_float_bool():
    adder = LongAdder()
    adder.add(3)
    for three in (AtomicInteger(3), AtomicLong(3), AtomicFloat(3.75), adder):
        assert int(three) == 3
        assert type(int(three)) is int
        assert type(float(three)) is float
    assert float(AtomicFloat(3.75)) == 3.75
    assert bool(AtomicBoolean(True)) is True
    assert bool(AtomicBoolean()) is False
    with dosync():
        flag, number = AtomicBoolean(), AtomicInteger(1)
        flag.set(True)
        number.set(2)
        assert flag
        assert int(number) == 2


@pytest.mark.parametrize(
    "make",
    [
        lambda n: AtomicInteger(n),
        lambda n: AtomicReference(n),
        lambda n: AtomicBoolean(n % 2 == 0),
        lambda n: AtomicStampedReference(None, n),
        lambda n: LongAdder(),
    ],
)
def test_memory_is_at_most_256_bytes(make):
    count = 1000
    kept = [None] * count
    make(1)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for i in range(count):
            kept[i] = make(i + 1000)
        size = (tracemalloc.get_traced_memory()[0] - before) / count
    finally:
        tracemalloc.stop()
    assert size <= 256


@pytest.mark.parametrize(
    "kind",
    [
        AtomicReference, AtomicBoolean, AtomicInteger, AtomicLong, AtomicFloat,
        AtomicNumber, AtomicReferenceArray, AtomicIntegerArray, AtomicStampedReference,
        AtomicMarkableReference, LongAdder, LongAccumulator,
    ],
)  # fmt: skip # a list to be read at once
def test_no_instance_dict(kind):
    assert kind.__name__ in atomos.atomic.__all__
    assert "__dict__" not in dir(kind)


# Arrays


def test_array_copies_what_it_is_given():
    values = [1, 2, 3]
    array = AtomicIntegerArray(values)
    array.set(0, 9)
    assert values == [1, 2, 3]
    assert AtomicIntegerArray(n for n in values).get(2) == 3
    assert [AtomicReferenceArray(2).get(i) for i in range(2)] == [None, None]
    assert AtomicReferenceArray(0).length() == 0


@pytest.mark.parametrize("index", [-1, 3, 10**30])
@pytest.mark.parametrize(
    "call",
    [
        lambda a, i: a.get(i),
        lambda a, i: a.set(i, 1),
        lambda a, i: a.get_and_set(i, 1),
        lambda a, i: a.compare_and_set(i, 0, 1),
        lambda a, i: a.compare_and_set_identity(i, 0, 1),
        lambda a, i: a.compare_and_exchange(i, 0, 1),
        lambda a, i: a.update_and_get(i, lambda n: n + 1),
        lambda a, i: a.get_and_update(i, lambda n: n + 1),
        lambda a, i: a.accumulate_and_get(i, 1, max),
        lambda a, i: a.get_and_accumulate(i, 1, max),
        lambda a, i: a.add_and_get(i, 1),
        lambda a, i: a.get_and_add(i, 1),
        lambda a, i: a.increment_and_get(i),
        lambda a, i: a.get_and_increment(i),
        lambda a, i: a.decrement_and_get(i),
        lambda a, i: a.get_and_decrement(i),
    ],
)
def test_array_index_out_of_range(call, index):
    array = AtomicIntegerArray(3)
    with pytest.raises(IndexError, match=rf"index {index} is not in .* \(0 to 2\)"):
        call(array, index)
    assert repr(array) == "AtomicIntegerArray([0, 0, 0])"


def test_array_of_wrong_size_or_type():
    with pytest.raises(ValueError, match="must not be negative: -1"):
        AtomicReferenceArray(-1)
    with pytest.raises(TypeError):
        AtomicReferenceArray(1.5)
    with pytest.raises(TypeError, match="not str 'a'"):
        AtomicIntegerArray("a")
    with pytest.raises(TypeError, match=r"not float 1\.5"):
        AtomicIntegerArray(1).set(0, 1.5)
    with pytest.raises(IndexError, match="it is empty"):
        AtomicReferenceArray(0).get(0)


# Stamps and marks


def test_stamped_compares_reference_by_identity_and_stamp_by_equality():
    mine, equal = [1], [1]
    ref = AtomicStampedReference(mine, 1000)
    assert not ref.compare_and_set(equal, "x", 1000, 2)
    assert not ref.compare_and_set(mine, "x", 1001, 2)
    assert ref.get() == (mine, 1000)
    assert ref.compare_and_set(mine, "x", int("1000"), 2)
    assert (ref.get_reference(), ref.get_stamp()) == ("x", 2)


def test_markable_compares_reference_by_identity():
    mine, equal = [1], [1]
    ref = AtomicMarkableReference(mine, False)
    assert not ref.compare_and_set(equal, "x", False, True)
    assert not ref.compare_and_set(mine, "x", True, True)
    assert not ref.attempt_mark(equal, True)
    assert ref.attempt_mark(mine, True)
    assert ref.get() == (mine, True)
    assert ref.is_marked()
    assert ref.set(equal, False) == (equal, False)


@pytest.mark.parametrize("joined", [False, True])
def test_wrong_stamp_or_mark_is_refused(joined):
    stamped = AtomicStampedReference(None, 1)
    markable = AtomicMarkableReference(None, False)
    calls = [
        lambda: AtomicStampedReference(None, 1.0),
        lambda: stamped.set(None, "2"),
        lambda: stamped.attempt_stamp(None, None),
        lambda: stamped.compare_and_set(None, None, 1, 1.5),
        lambda: AtomicMarkableReference(None, 0),
        lambda: markable.set(None, 1),
        lambda: markable.attempt_mark(None, None),
        lambda: markable.compare_and_set(None, None, False, 1),
    ]
    for call in calls:
        if joined:
            with dosync():
                with pytest.raises(TypeError, match="nothing was changed"):
                    call()
        else:
            with pytest.raises(TypeError, match="nothing was changed"):
                call()
    assert (stamped.get(), markable.get()) == ((None, 1), (None, False))


# Adders


def test_adder_takes_ints_only():
    adder = LongAdder()
    for wrong in (1.0, "1", None):
        with pytest.raises(TypeError, match="adds int only"):
            adder.add(wrong)
        with dosync():
            with pytest.raises(TypeError, match="adds int only"):
                adder.add(wrong)
    adder.add(True)
    assert adder.sum() == 1


def test_accumulator_goes_back_to_its_identity():
    peak = LongAccumulator(max, -math.inf)
    peak.accumulate(3)
    peak.accumulate(2)
    assert peak.get_then_reset() == 3
    assert peak.get() == -math.inf
    peak.accumulate(1)
    peak.reset()
    assert peak.get() == -math.inf


def test_accumulator_function_that_touches_a_ref_in_a_transaction():
    other = Ref(1)
    peak = LongAccumulator(lambda a, b: other.deref() + a + b, 0)
    with pytest.raises(CommuteError):
        with dosync():
            peak.accumulate(1)
    assert peak.get() == 0


# Read-only transactions


@pytest.mark.parametrize(
    "call",
    [
        lambda: AtomicReference(1).set(2),
        lambda: AtomicInteger(1).add_and_get(2),
        lambda: AtomicInteger(1).get_and_add(2),
        lambda: AtomicBoolean().compare_and_set(False, True),
        lambda: AtomicIntegerArray(1).increment_and_get(0),
        lambda: AtomicStampedReference(None, 1).attempt_stamp(None, 2),
        lambda: LongAdder().increment(),
        lambda: LongAccumulator(max, 1).accumulate(2),
    ],
)
def test_read_only_transactions_refuse_writes(call):
    with pytest.raises(ReadOnlyError, match="cannot be written"):
        with dosync(read_only=True):
            call()


# Examples


@pytest.mark.parametrize("module", MODULES)
def test_examples(module):
    result = doctest.testmod(importlib.import_module(module))
    assert result.failed == 0
    # Modules without a public class of their own may have no example.
    assert result.attempted > 0


def test_each_public_method_is_documented():
    for name in atomos.atomic.__all__:
        for attr, member in vars(getattr(atomos.atomic, name)).items():
            if attr.startswith("_") or not callable(member):
                continue
            for part in ("Cost:", "Example:"):
                assert part in (member.__doc__ or ""), (name, attr, part)
