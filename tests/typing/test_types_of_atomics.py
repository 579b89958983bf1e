"""What a type checker infers for the atomics.

See `test_types_of_cells` for how these lines are checked.
"""
# mypy: warn-unreachable

from __future__ import annotations

import math
import operator
from decimal import Decimal
from fractions import Fraction
from typing import assert_type

import pytest

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


def test_AtomicReference() -> None:
    ref = AtomicReference("a")
    assert_type(ref, AtomicReference[str])
    assert_type(ref.get(), str)
    assert_type(ref.set("b"), str)
    assert_type(ref.get_and_set("a"), str)
    assert_type(ref.compare_and_set("a", "b"), bool)
    assert_type(ref.compare_and_set_identity("a", "b"), bool)
    assert_type(ref.compare_and_exchange("a", "b"), str)
    assert_type(ref.update_and_get(str.upper), str)
    assert_type(ref.get_and_update(lambda s: assert_type(s, str) + "b"), str)
    assert_type(ref.accumulate_and_get("b", max), str)
    assert_type(ref.accumulate_and_get(2, operator.mul), str)
    assert_type(ref.get_and_accumulate(2, lambda s, n: s * n), str)
    ref.set(1)  # type: ignore[arg-type] # it holds str
    ref.set("a")
    ref.update_and_get(len)  # type: ignore[arg-type] # gives int
    assert_type(AtomicReference("a").wait_for(str.isalpha), str)


def test_AtomicReference_of_None() -> None:
    maybe: AtomicReference[str | None] = AtomicReference[str | None](None)
    assert_type(maybe.get(), str | None)
    maybe = AtomicReference()  # pyright: ignore[reportAssignmentType] # cannot solve it
    assert_type(AtomicReference(), AtomicReference[None])  # pyright: ignore[reportAssertTypeFailure] # as above
    wrong: AtomicReference[str] = AtomicReference()  # type: ignore[assignment] # is None
    assert wrong.get() is None


def test_AtomicBoolean() -> None:
    flag = AtomicBoolean()
    assert_type(flag.get(), bool)
    assert_type(flag.get_and_set(True), bool)
    assert_type(flag.update_and_get(operator.not_), bool)
    assert_type(bool(flag), bool)
    with pytest.raises(TypeError):
        flag.set(1)  # type: ignore[arg-type] # 1 is no bool
    assert_type(AtomicBoolean(True).wait_for(bool), bool)


def test_AtomicNumber() -> None:
    number = AtomicNumber(Fraction(1, 2))
    assert_type(number, AtomicNumber[Fraction])
    assert_type(number.add_and_get(Fraction(1)), Fraction)
    assert_type(number.get_and_add(Fraction(1)), Fraction)
    assert_type(number.subtract_and_get(Fraction(1)), Fraction)
    assert_type(number.get_and_subtract(Fraction(1)), Fraction)
    assert_type(number.increment_and_get(), Fraction)
    assert_type(number.get_and_increment(), Fraction)
    assert_type(number.decrement_and_get(), Fraction)
    assert_type(number.get_and_decrement(), Fraction)
    assert_type((int(number), float(number)), tuple[int, float])
    assert_type(AtomicNumber(Decimal(1)).get(), Decimal)
    assert_type(AtomicNumber(1), AtomicNumber[int])
    assert_type(AtomicNumber(1j).add_and_get(2), complex)
    with pytest.raises(TypeError):
        AtomicNumber("1")  # type: ignore[type-var] # str is no number
    nothing: AtomicNumber[Fraction] = AtomicNumber()
    assert_type(nothing.set(Fraction(1)), Fraction)
    assert_type(AtomicNumber(1).wait_for(bool), int)


def test_AtomicInteger() -> None:
    assert_type(AtomicInteger().add_and_get(2), int)
    assert_type(AtomicInteger(1).increment_and_get(), int)
    assert_type(AtomicInteger(1).get(), int)
    assert_type(AtomicInteger(1).update_and_get(lambda n: assert_type(n, int) * 2), int)
    assert_type(AtomicInteger(1).get_and_accumulate(2, max), int)
    with pytest.raises(TypeError):
        AtomicInteger(1.5)  # type: ignore[arg-type] # a float is no int
    with pytest.raises(TypeError):
        AtomicInteger().add_and_get(1.5)  # type: ignore[arg-type] # a float is no int
    assert_type(AtomicInteger(1).wait_for(lambda n: n > 0), int)


def test_AtomicLong() -> None:
    assert_type(AtomicLong().add_and_get(2), int)
    assert_type(AtomicLong(1).get_and_decrement(), int)
    with pytest.raises(TypeError):
        AtomicLong("1")  # type: ignore[arg-type] # a str is no int
    assert_type(AtomicLong(1).wait_for(bool), int)


def test_AtomicFloat() -> None:
    assert_type(AtomicFloat().get(), float)
    assert_type(AtomicFloat(1.5).add_and_get(2), float)
    assert_type(AtomicFloat(1.5).accumulate_and_get(2, pow), float)
    with pytest.raises(TypeError):
        AtomicFloat("1")  # type: ignore[arg-type] # a str is no float
    assert_type(AtomicFloat(1.5).wait_for(bool), float)


def test_AtomicStampedReference() -> None:
    ref = AtomicStampedReference("a", 1)
    maybe: AtomicStampedReference[str | None] = AtomicStampedReference(None, 0)
    assert_type(ref, AtomicStampedReference[str])
    assert_type(ref.get(), tuple[str, int])
    assert_type(ref.get_reference(), str)
    assert_type(ref.get_stamp(), int)
    assert_type(ref.set("b", 2), tuple[str, int])
    assert_type(ref.compare_and_set("b", "c", 2, 3), bool)
    assert_type(ref.attempt_stamp("c", 4), bool)
    assert_type(maybe.get(), tuple[str | None, int])
    with pytest.raises(TypeError):
        ref.set("a", "b")  # type: ignore[arg-type] # a stamp is an int
    ref.set(1, 1)  # type: ignore[arg-type] # it holds str
    assert_type(
        AtomicStampedReference("a", 1).wait_for(lambda pair: pair[1] > 0),
        tuple[str, int],
    )


def test_AtomicMarkableReference() -> None:
    ref = AtomicMarkableReference("a", False)
    assert_type(ref, AtomicMarkableReference[str])
    assert_type(ref.get(), tuple[str, bool])
    assert_type(ref.get_reference(), str)
    assert_type(ref.is_marked(), bool)
    assert_type(ref.set("b", True), tuple[str, bool])
    assert_type(ref.compare_and_set("b", "c", True, False), bool)
    assert_type(ref.attempt_mark("c", True), bool)
    with pytest.raises(TypeError):
        ref.set("a", "b")  # type: ignore[arg-type] # a mark is a bool
    assert_type(
        AtomicMarkableReference("a", True).wait_for(lambda pair: pair[1]),
        tuple[str, bool],
    )


def test_AtomicReferenceArray() -> None:
    array = AtomicReferenceArray(["a", "b"])
    assert_type(array, AtomicReferenceArray[str])
    assert_type((array.length(), len(array)), tuple[int, int])
    assert_type(array.get(0), str)
    assert_type(array.set(0, "c"), str)
    assert_type(array.get_and_set(0, "d"), str)
    assert_type(array.compare_and_set(0, "d", "e"), bool)
    assert_type(array.compare_and_set_identity(0, "d", "e"), bool)
    assert_type(array.compare_and_exchange(0, "d", "e"), str)
    assert_type(array.update_and_get(0, str.upper), str)
    assert_type(array.get_and_update(0, lambda s: assert_type(s, str) + "b"), str)
    assert_type(array.accumulate_and_get(0, "b", max), str)
    assert_type(array.get_and_accumulate(0, 2, lambda s, n: s * n), str)
    array.set(0, 1)  # type: ignore[arg-type] # it holds str
    assert_type(AtomicReferenceArray("ab").wait_for(1, str.isalpha), str)


def test_AtomicReferenceArray_of_None() -> None:
    maybe: AtomicReferenceArray[str | None] = AtomicReferenceArray([None] * 3)
    assert_type(maybe.get(0), str | None)
    maybe = AtomicReferenceArray(3)  # pyright: ignore[reportAssignmentType] # as above
    assert_type(AtomicReferenceArray([None, "a"]), AtomicReferenceArray[str | None])
    assert_type(AtomicReferenceArray(3), AtomicReferenceArray[None])  # pyright: ignore[reportAssertTypeFailure] # as above
    wrong: AtomicReferenceArray[str] = AtomicReferenceArray(3)  # type: ignore[assignment] # None
    assert wrong.get(0) is None


def test_AtomicIntegerArray() -> None:
    array = AtomicIntegerArray(3)
    assert_type(AtomicIntegerArray([1, 2]), AtomicIntegerArray)
    assert_type(array.get(0), int)
    assert_type(array.add_and_get(0, 2), int)
    assert_type(array.get_and_add(0, 2), int)
    assert_type(array.increment_and_get(0), int)
    assert_type(array.get_and_increment(0), int)
    assert_type(array.decrement_and_get(0), int)
    assert_type(array.get_and_decrement(0), int)
    assert_type(array.update_and_get(0, lambda n: assert_type(n, int) + 1), int)
    with pytest.raises(TypeError):
        AtomicIntegerArray("ab")  # type: ignore[arg-type] # they are no ints
    assert_type(AtomicIntegerArray([1]).wait_for(0, bool), int)


def test_LongAdder() -> None:
    adder = LongAdder()
    adder.add(2)
    adder.increment()
    adder.decrement()
    assert_type(adder.sum(), int)
    assert_type(adder.sum_then_reset(), int)
    adder.reset()
    assert_type((int(adder), float(adder)), tuple[int, float])
    with pytest.raises(TypeError):
        adder.add(1.5)  # type: ignore[arg-type] # it adds int
    adder_that_has_something = LongAdder()
    adder_that_has_something.add(1)
    assert_type(adder_that_has_something.wait_for(bool), int)


def test_LongAccumulator() -> None:
    peak = LongAccumulator(max, -math.inf)
    joined = LongAccumulator(lambda a, b: a + b, "")
    assert_type(peak, LongAccumulator[float])
    assert_type(LongAccumulator(operator.add, 0), LongAccumulator[int])
    assert_type(joined, LongAccumulator[str])
    peak.accumulate(3)
    assert_type(peak.get(), float)
    assert_type(peak.get_then_reset(), float)
    peak.reset()
    with pytest.raises(TypeError):
        joined.accumulate(1)  # type: ignore[arg-type] # it holds str
    assert_type(LongAccumulator(max, 1).wait_for(bool), int)
