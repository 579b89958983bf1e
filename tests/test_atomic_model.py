"""Each atomic does what a plain object of one thread does, on random calls.

A call is made alone, or with others in a transaction that is committed or
undone; the model is copied before a transaction, and put back when it is undone.
"""

from __future__ import annotations

import copy

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from atomos import dosync
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

SETTINGS = settings(
    max_examples=25,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)

#: Equal but not identical objects, and ones that are not even equal.
OBJECTS = [None, "a", [1], [1], (2,), 1, 1.0, True]


class Wrong(Exception):
    """What the model raises for a value of a wrong type."""


class Undo(Exception):
    """Raised to undo a transaction."""


class PlainReference:
    kind: type | tuple[type, ...] = object

    def __init__(self, value):
        self.value = value

    def state(self):
        return self.value

    def _store(self, value):
        if not isinstance(value, self.kind):
            raise Wrong
        self.value = value
        return value

    def get(self):
        return self.value

    def set(self, value):
        return self._store(value)

    def get_and_set(self, value):
        before = self.value
        self._store(value)
        return before

    def compare_and_set(self, expect, update):
        if not isinstance(update, self.kind):
            raise Wrong
        if self.value == expect:
            self.value = update
            return True
        return False

    def compare_and_set_identity(self, expect, update):
        if not isinstance(update, self.kind):
            raise Wrong
        if self.value is expect:
            self.value = update
            return True
        return False

    def compare_and_exchange(self, expect, update):
        before = self.value
        self.compare_and_set(expect, update)
        return before

    def update_and_get(self, fn):
        return self._store(fn(self.value))

    def get_and_update(self, fn):
        before = self.value
        self._store(fn(before))
        return before

    def accumulate_and_get(self, x, fn):
        return self._store(fn(self.value, x))

    def get_and_accumulate(self, x, fn):
        before = self.value
        self._store(fn(before, x))
        return before


class PlainBoolean(PlainReference):
    kind = bool


class PlainNumber(PlainReference):
    kind = (int, float)

    def add_and_get(self, delta):
        return self._store(self.value + delta)

    def get_and_add(self, delta):
        before = self.value
        self._store(before + delta)
        return before

    def subtract_and_get(self, delta):
        return self._store(self.value - delta)

    def get_and_subtract(self, delta):
        before = self.value
        self._store(before - delta)
        return before

    def increment_and_get(self):
        return self.add_and_get(1)

    def get_and_increment(self):
        return self.get_and_add(1)

    def decrement_and_get(self):
        return self.add_and_get(-1)

    def get_and_decrement(self):
        return self.get_and_add(-1)


class PlainInteger(PlainNumber):
    kind = int


class PlainFloat(PlainNumber):
    kind = float


class PlainArray:
    """Each method takes the index first; ``len`` elements of the type `of`."""

    def __init__(self, of, values):
        self.cells = [of(value) for value in values]

    def state(self):
        return [cell.value for cell in self.cells]

    def length(self):
        return len(self.cells)

    def __getattr__(self, name):
        if name.startswith("__") or name == "cells":
            raise AttributeError(name)

        def call(index, *args):
            if not 0 <= index < len(self.cells):
                raise IndexError
            return getattr(self.cells[index], name)(*args)

        return call


class PlainPair:
    def __init__(self, kind, reference, label):
        self.kind, self.pair = kind, (reference, label)

    def state(self):
        return self.pair

    def get(self):
        return self.pair

    def get_reference(self):
        return self.pair[0]

    def get_stamp(self):
        return self.pair[1]

    is_marked = get_stamp

    def set(self, reference, label):
        if not isinstance(label, self.kind):
            raise Wrong
        self.pair = reference, label
        return self.pair

    def compare_and_set(self, old, new, old_label, new_label):
        if not isinstance(new_label, self.kind):
            raise Wrong
        if self.pair[0] is old and self.pair[1] == old_label:
            self.pair = new, new_label
            return True
        return False

    def attempt_stamp(self, old, new_label):
        return self.compare_and_set(old, old, self.pair[1], new_label)

    attempt_mark = attempt_stamp


class PlainSum:
    """LongAdder and LongAccumulator."""

    def __init__(self, fn, identity):
        self.fn, self.value, self.identity = fn, identity, identity

    def state(self):
        return self.value

    def accumulate(self, x):
        self.value = self.fn(self.value, x)

    def add(self, x):
        if not isinstance(x, int):
            raise Wrong
        self.accumulate(x)

    def increment(self):
        self.add(1)

    def decrement(self):
        self.add(-1)

    def sum(self):
        return self.value

    get = sum

    def reset(self):
        self.value = self.identity

    def sum_then_reset(self):
        before = self.value
        self.reset()
        return before

    get_then_reset = sum_then_reset


# Calls: a method name and strategies for its arguments


def reference_calls(values, fns, two_fns):
    return {
        "get": (),
        "set": (values,),
        "get_and_set": (values,),
        "compare_and_set": (values, values),
        "compare_and_set_identity": (values, values),
        "compare_and_exchange": (values, values),
        "update_and_get": (fns,),
        "get_and_update": (fns,),
        "accumulate_and_get": (values, two_fns),
        "get_and_accumulate": (values, two_fns),
    }


def number_calls(values, java_only=False):
    calls = reference_calls(
        values,
        st.sampled_from([lambda n: n + 1, lambda n: n * 0.5, abs, str]),
        st.sampled_from([lambda n, x: n + x, lambda n, x: x, lambda n, x: (n, x)]),
    )
    calls |= dict.fromkeys(["add_and_get", "get_and_add"], (values,))
    calls |= dict.fromkeys(
        [
            "increment_and_get",
            "get_and_increment",
            "decrement_and_get",
            "get_and_decrement",
        ],
        (),
    )
    if not java_only:
        calls |= dict.fromkeys(["subtract_and_get", "get_and_subtract"], (values,))
    return calls


objects = st.sampled_from(OBJECTS)
object_calls = reference_calls(
    objects,
    st.sampled_from([lambda v: v, lambda v: (v,)[:1], lambda v: None, repr]),
    st.sampled_from([lambda v, x: x, lambda v, x: v, lambda v, x: (repr(v), x)]),
)
ints = st.integers(-3, 3) | st.booleans() | st.just(2**70)
#: The same object for atomic, model and arguments: identity is compared, too.
ZERO = 0.0
floats = st.sampled_from([ZERO, 0.5, -1.5, 2.0])
some_numbers = ints | floats


def with_index(calls):
    index = st.integers(-1, 3)
    return {name: (index, *args) for name, args in calls.items()} | {"length": ()}


def same(one, other):
    """Equal, of one type, and the same objects where that tells."""
    if isinstance(one, tuple | list) and type(one) is type(other):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other


def outcome(target, name, args):
    try:
        return getattr(target, name)(*args)
    except (Wrong, TypeError):
        return TypeError
    except IndexError:
        return IndexError


def check_calls(atomic, model, calls):
    for name, args in calls:
        expected = outcome(model, name, args)
        got = outcome(atomic, name, args)
        assert same(got, expected), (name, args, got, expected)


def copied(model):
    """Copy the model, but not the values, which are told apart by identity."""
    twin = copy.copy(model)
    if isinstance(model, PlainArray):
        twin.cells = [copy.copy(cell) for cell in model.cells]
    return twin


def machine(name, make_atomic, make_model, calls, state):
    """Return the test case of one type."""
    one_call = st.one_of(
        [st.tuples(st.just(method), st.tuples(*args)) for method, args in calls.items()]
    )

    class Machine(RuleBasedStateMachine):
        def __init__(self):
            super().__init__()
            self.atomic, self.model = make_atomic(), make_model()

        @rule(call=one_call)
        def alone(self, call):
            check_calls(self.atomic, self.model, [call])

        @rule(calls=st.lists(one_call, max_size=5))
        def together(self, calls):
            with dosync():
                check_calls(self.atomic, self.model, calls)

        @rule(calls=st.lists(one_call, max_size=5))
        def together_run(self, calls):
            before = copied(self.model)

            @dosync
            def body():
                self.model = copied(before)
                check_calls(self.atomic, self.model, calls)

            body()

        @rule(calls=st.lists(one_call, max_size=5))
        def undone(self, calls):
            before = copied(self.model)
            try:
                with dosync():
                    check_calls(self.atomic, self.model, calls)
                    raise Undo
            except Undo:
                self.model = before

        @invariant()
        def agree(self):
            assert same(state(self.atomic), self.model.state())

    Machine.__name__ = Machine.__qualname__ = name
    test = Machine.TestCase
    test.settings = SETTINGS
    return test


def value_of(atomic):
    return atomic.get()


def values_of(array):
    return [array.get(i) for i in range(array.length())]


TestReference = machine(
    "Reference",
    AtomicReference,
    lambda: PlainReference(None),
    object_calls,
    value_of,
)
TestBoolean = machine(
    "Boolean",
    AtomicBoolean,
    lambda: PlainBoolean(False),
    reference_calls(
        st.sampled_from([True, False, 0, 1]),
        st.sampled_from([lambda b: not b, lambda b: None]),
        st.sampled_from([lambda b, x: b and x, lambda b, x: b != x]),
    ),
    value_of,
)
TestInteger = machine(
    "Integer",
    AtomicInteger,
    lambda: PlainInteger(0),
    number_calls(some_numbers),
    value_of,
)
TestLong = machine(
    "Long", AtomicLong, lambda: PlainInteger(0), number_calls(some_numbers), value_of
)
TestFloat = machine(
    "Float",
    lambda: AtomicFloat(ZERO),
    lambda: PlainFloat(ZERO),
    number_calls(some_numbers),
    value_of,
)
TestNumber = machine(
    "Number",
    lambda: AtomicNumber(0),
    lambda: PlainNumber(0),
    number_calls(some_numbers),
    value_of,
)
TestReferenceArray = machine(
    "ReferenceArray",
    lambda: AtomicReferenceArray([None, "a", 1]),
    lambda: PlainArray(PlainReference, [None, "a", 1]),
    with_index(object_calls),
    values_of,
)
TestIntegerArray = machine(
    "IntegerArray",
    lambda: AtomicIntegerArray(3),
    lambda: PlainArray(PlainInteger, [0, 0, 0]),
    with_index(number_calls(some_numbers, java_only=True)),
    values_of,
)
TestStamped = machine(
    "Stamped",
    lambda: AtomicStampedReference(None, 0),
    lambda: PlainPair(int, None, 0),
    {
        "get": (),
        "get_reference": (),
        "get_stamp": (),
        "set": (objects, some_numbers),
        "compare_and_set": (objects, objects, some_numbers, some_numbers),
        "attempt_stamp": (objects, some_numbers),
    },
    value_of,
)
TestMarkable = machine(
    "Markable",
    lambda: AtomicMarkableReference(None, False),
    lambda: PlainPair(bool, None, False),
    {
        "get": (),
        "get_reference": (),
        "is_marked": (),
        "set": (objects, st.sampled_from([True, False, 1])),
        "compare_and_set": (objects, objects, st.booleans(), st.booleans()),
        "attempt_mark": (objects, st.sampled_from([True, False, None])),
    },
    value_of,
)
TestAdder = machine(
    "Adder",
    LongAdder,
    lambda: PlainSum(lambda a, b: a + b, 0),
    {
        "add": (some_numbers,),
        "increment": (),
        "decrement": (),
        "sum": (),
        "reset": (),
        "sum_then_reset": (),
    },
    lambda adder: adder.sum(),
)
TestAccumulator = machine(
    "Accumulator",
    lambda: LongAccumulator(max, -5),
    lambda: PlainSum(max, -5),
    {"accumulate": (ints,), "get": (), "reset": (), "get_then_reset": ()},
    value_of,
)
