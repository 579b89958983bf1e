"""The atomics of `atomos.multiprocessing.atomic`, and what 0.3 promised of them."""

from __future__ import annotations

import ctypes
import pickle
from fractions import Fraction

import pytest

from atomos.errors import EncodingError
from atomos.multiprocessing import atom, atomic

NUMBERS = [
    (atomic.AtomicInteger, 3, 4),
    (atomic.AtomicLong, 3, 4),
    (atomic.AtomicFloat, 0.5, 0.25),
]


def test_the_names_of_0_3():
    """Each with the arguments that 0.3.1 took."""
    assert atomic.AtomicReference().get() is None
    assert atomic.AtomicReference(value=1).get() == 1
    assert atomic.AtomicBoolean().get() is False
    assert atomic.AtomicInteger().get() == atomic.AtomicLong().get() == 0
    assert atomic.AtomicFloat().get() == 0.0
    assert atomic.AtomicNumber("i", 3).get() == 3
    assert (
        atomic.AtomicCtypesReference(typecode_or_type=ctypes.c_int, value=3).get() == 3
    )
    assert atom.Atom({"a": 1}).deref() == {"a": 1}
    assert atom.Atom(state=1).deref() == 1


@pytest.mark.parametrize(("kind", "value", "delta"), NUMBERS)
def test_numbers(kind, value, delta):
    number = kind(value)
    assert isinstance(number, atomic.AtomicNumber)
    assert number.add_and_get(delta) == value + delta
    assert number.get_and_add(delta) == value + delta
    assert number.subtract_and_get(delta) == value + delta
    assert number.get_and_subtract(delta) == value + delta
    assert number.get() == value
    assert number.set(delta) == delta
    assert number.get_and_set(value) == delta
    assert number.compare_and_set(value, delta)
    assert not number.compare_and_set(value, delta)
    assert number.update_and_get(lambda n: n + n) == delta + delta
    assert repr(number) == f"{kind.__name__}({delta + delta!r})"


@pytest.mark.parametrize(("kind", "value", "delta"), NUMBERS)
def test_values_of_another_type(kind, value, delta):
    number = kind(value)
    for wrong in ("x", None, 1 + 2j):
        with pytest.raises(TypeError):
            kind(wrong)
        for call in (number.set, number.get_and_set, number.add_and_get):
            with pytest.raises(TypeError):
                call(wrong)
        with pytest.raises(TypeError):
            number.compare_and_set(value, wrong)
        with pytest.raises(TypeError):
            number.update_and_get(lambda n, wrong=wrong: wrong)
    assert number.get() == value


def test_ints_keep_their_range():
    big = atomic.AtomicInteger(2**63)
    assert big.add_and_get(2**70) == 2**63 + 2**70
    assert atomic.AtomicNumber(value=Fraction(1, 3)).add_and_get(1) == Fraction(4, 3)


def test_types_of_c():
    byte = atomic.AtomicNumber(ctypes.c_byte, 127)
    assert byte.increment_and_get() == -128
    assert byte.set(129) == -127
    assert byte.get_and_set(300) == -127
    assert byte.compare_and_set(44, 513)
    assert byte.get() == 1
    assert byte.update_and_get(lambda n: n + 255) == 0
    single = atomic.AtomicCtypesReference("f", 0.1)
    assert single.get() == ctypes.c_float(0.1).value != 0.1
    assert atomic.AtomicCtypesReference("d").get() == 0.0
    with pytest.raises(TypeError, match="c_byte"):
        byte.set("x")
    for wrong in (None, "q?", int, ctypes.Structure):
        with pytest.raises(TypeError, match="typecode_or_type"):
            atomic.AtomicCtypesReference(wrong, 1)


def test_flags():
    flag = atomic.AtomicBoolean()
    assert not flag
    assert flag.compare_and_set(False, True)
    assert flag
    with pytest.raises(TypeError):
        flag.set(1)


def test_references():
    reference = atomic.AtomicReference([1])
    assert reference.get_and_set([2]) == [1]
    assert reference.accumulate_and_get([3], lambda a, b: a + b) == [2, 3]
    reference.get().append(4)
    assert reference.get() == [2, 3]  # each read is another copy
    with pytest.raises(EncodingError, match="AtomicReference"):
        reference.set(lambda: 1)
    with pytest.raises(EncodingError, match="AtomicReference"):
        atomic.AtomicReference(lambda: 1)
    assert reference.get() == [2, 3]


def test_they_arrive_as_the_same():
    """A cell that comes back to a process that has it is the one that it has."""
    cells = [
        atomic.AtomicReference([1]),
        atomic.AtomicBoolean(True),
        atomic.AtomicInteger(1),
        atomic.AtomicNumber(ctypes.c_byte, 1),
        atomic.AtomicCtypesReference("d", 1.0),
        atom.Atom(1, name="atom"),
    ]
    for cell in cells:
        assert pickle.loads(pickle.dumps(cell)) is cell
