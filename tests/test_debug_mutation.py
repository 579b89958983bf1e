"""A value changed in place is found at its next use, and nothing else is."""

from __future__ import annotations

import gc
import math
import re
import sys
import threading
import weakref
from array import array
from collections import Counter, OrderedDict, defaultdict, deque
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from types import SimpleNamespace
from typing import Any

import pytest
from helpers import FORMS, PATIENCE, Snapshot, elsewhere, run_threads, transact
from hypothesis import given, settings
from hypothesis import strategies as st

from atomos import (
    Atom,
    AtomicReference,
    AtomicReferenceArray,
    AtomicStampedReference,
    LongAccumulator,
    Ref,
    TransactionLocal,
    atomically,
    debug,
    dosync,
)
from atomos._debug._guarded import kept_of
from atomos._debug._prints import Prints, changed
from atomos.agent import Agent
from atomos.errors import AgentFailedError, MutatedValueError
from atomos.stm import _solo
from atomos.stm._cell import latest
from atomos.stm._seams import Seams

HERE = re.escape(__file__)


@pytest.fixture(scope="module", autouse=True)
def _looking():
    debug.enable(effects=False, skew=False)
    yield
    debug.disable()


def line() -> int:
    return sys._getframe(1).f_lineno


def refused():
    return pytest.raises(MutatedValueError)


#: A cell with a value, and how to read that.
CELLS = {
    "ref": (Ref, Ref.deref),
    "atom": (Atom, Atom.deref),
    "reference": (AtomicReference, AtomicReference.get),
    "stamped": (lambda v: AtomicStampedReference(v, 1), lambda c: c.get()[0]),
    "array": (lambda v: AtomicReferenceArray([v]), lambda c: c.get(0)),
    "accumulator": (lambda v: LongAccumulator(max, v), LongAccumulator.get),
    "agent": (Agent, Agent.deref),
}


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("kind", CELLS)
def test_a_read_finds_it(kind, inside):
    make, read = CELLS[kind]
    cell = make({"a": [1]})
    look = (lambda: atomically(read, cell)) if inside else (lambda: read(cell))
    look()["a"] + [2]
    assert look() == {"a": [1]}
    read(cell)["a"].append(2)
    with refused():
        look()
    with refused():
        elsewhere(look)


def set_by_agent(value):
    agent = Agent(None)
    agent.send(lambda _: value).wait()
    return agent


def committed(write):
    def make(value):
        ref = Ref(None)
        atomically(write, ref, value)
        return ref

    return make


def swapped(write):
    def make(value):
        atom = Atom(None)
        write(atom, value)
        return atom

    return make


#: Ways in which a cell gets a value.
WAYS = {
    "made": Ref,
    "set": committed(lambda ref, value: ref.set(value)),
    "altered": committed(lambda ref, value: ref.alter(lambda _: value)),
    "commuted": committed(lambda ref, value: ref.commute(lambda _: value)),
    "commuted and read": committed(
        lambda ref, value: (ref.commute(lambda _: value), ref.deref())
    ),
    "swapped": swapped(lambda atom, value: atom.swap(lambda _: value)),
    "reset": swapped(lambda atom, value: atom.reset(value)),
    "compared": swapped(lambda atom, value: atom.compare_and_set(None, value)),
    "sent": set_by_agent,
}


@pytest.mark.parametrize("way", WAYS)
def test_it_is_found_however_the_value_was_set(way):
    cell = WAYS[way]([1])
    assert cell.deref() == [1]
    cell.deref().append(2)
    with refused():
        cell.deref()


def update(value):
    value.append(2)
    return value


def forget(value):
    value.append(2)


def settled_atom(value):
    """Return an atom that no open snapshot needs: the shortest way of a swap."""
    atom = Atom(None)
    atom.reset(None)
    atom.reset(value)
    return atom


#: Operations with a function that is given the value.
OPERATIONS = {
    "alter": (Ref, lambda ref, fn: atomically(ref.alter, fn)),
    "commute": (Ref, lambda ref, fn: atomically(ref.commute, fn)),
    "commute, read": (
        Ref,
        lambda ref, fn: atomically(lambda: (ref.commute(fn), ref.deref())),
    ),
    "swap": (settled_atom, lambda atom, fn: atom.swap(fn)),
    "swap inside": (Atom, lambda atom, fn: atomically(atom.swap, fn)),
    "swap_vals": (Atom, Atom.swap_vals),
    "update_and_get": (AtomicReference, AtomicReference.update_and_get),
    "get_and_update": (AtomicReference, AtomicReference.get_and_update),
    "agent": (Agent, lambda agent, fn: agent.send(fn).wait()),
}


@pytest.mark.parametrize("fn", [update, forget])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_function_that_changes_its_argument_is_found_at_once(operation, fn):
    make, run = OPERATIONS[operation]
    cell = make([1])
    before = latest(cell)
    with pytest.raises((MutatedValueError, AgentFailedError)):
        run(cell, fn)
    assert latest(cell) is before
    good = make([1])
    run(good, lambda value: [*value, 2])
    assert latest(good).value == [1, 2]


def test_a_read_finds_what_a_commute_before_it_has_changed():
    ref = Ref([1])

    def body():
        ref.commute(update)
        with refused():
            ref.deref()

    with refused():
        atomically(body)


def test_a_function_of_an_accumulator_is_found_at_once():
    for read in (lambda fn: fn(), atomically):
        least = LongAccumulator(lambda old, x: old.append(x) or old, [])
        with refused():
            read(lambda least=least: least.accumulate(1))
        assert LongAccumulator(lambda old, x: [*old, x], []).accumulate(1) is None


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("twice", [False, True])
def test_the_value_of_a_transaction_itself(form, twice):
    ref, other = Ref([1]), Ref(0)

    def body():
        other.set(1)
        own = ref.set([2])
        if twice:
            own = ref.set([3])
        own.append(4)

    with refused():
        transact(form, body)
    assert (ref.deref(), other.deref()) == ([1], 0)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("writes", [False, True])
def test_a_commit_finds_what_was_changed_after_it_was_read(form, writes):
    ref, other = Ref([1], name="read"), Ref(0)

    def body():
        if writes:
            other.set(1)
        ref.deref().append(2)

    with pytest.raises(MutatedValueError, match="Ref 'read'"):
        transact(form, body)
    assert other.deref() == 0


@pytest.mark.parametrize("form", FORMS)
def test_who_swallows_the_error_commits_nothing(form):
    ref, other = Ref([1]), Ref(0)

    def body():
        other.set(1)
        ref.deref().append(2)
        try:
            ref.deref()
        except MutatedValueError:
            pass

    with refused():
        transact(form, body)
    assert other.deref() == 0


@pytest.mark.parametrize("isolation", ["serializable", "snapshot"])
def test_what_was_read_and_is_written_over(isolation):
    ref = Ref([1])

    def body():
        old = ref.deref()
        ref.set([2])
        old.append(3)

    with refused():
        dosync(isolation=isolation)(body)()
    assert latest(ref).number > 0


@pytest.mark.parametrize("depth", [1, 40])
def test_an_old_version_that_a_snapshot_reads(depth):
    atom = Atom([0])
    with_it = Snapshot()
    with_it.read(atom)
    old = atom.deref()
    for n in range(depth):
        atom.reset([n])
    assert with_it.read(atom) == [0]
    old.append(1)
    with refused():
        with_it.read(atom)
    with_it.close()
    assert atom.deref() == [depth - 1]


def test_the_same_object_in_two_cells():
    shared = [1]
    one, other = Ref(shared), Atom(shared)
    shared.append(2)
    for cell in (one, other, one, other):
        with refused():
            cell.deref()


def test_a_write_finds_it_once_and_then_is_the_way_to_go_on():
    atom, ref = Atom([1]), Ref([1])
    for cell, write in ((atom, atom.reset), (ref, lambda v: atomically(ref.set, v))):
        latest(cell).value.append(2)
        with refused():
            write([3])
        with refused():
            cell.deref()
        write([4])
        assert cell.deref() == [4]


@pytest.mark.parametrize(
    "operation",
    [
        lambda atom: atom.swap_vals(lambda old: [2]),
        lambda atom: atom.reset([2]),
        lambda atom: atom.compare_and_set([1], [2]),
    ],
)
def test_what_is_changed_after_the_commit_is_no_error_of_it(operation):
    def changing(publish):
        def changed_after(cell, old, value):
            done = publish(cell, old, value)
            kept_of(old).value.append(3)
            return done

        return changed_after

    atom, seams, told = Atom([1]), Seams(), []
    atom.add_watch("tell", lambda *args: told.append(args[2:]))
    seams.method(_solo, "publish", changing)
    try:
        operation(atom)
    finally:
        seams.close()
    assert atom.deref() == [2]
    assert told == [([1, 3], [2])]


def test_old_versions_are_moved_without_a_look():
    atom, snapshots = Atom([0]), []
    for n in range(40):
        snapshots.append(Snapshot())
        snapshots[-1].read(Atom(0))
        old = atom.reset([n])
        if n == 1:
            old.append(1)
    assert snapshots[-1].read(atom) == [38]
    for snapshot in snapshots:
        snapshot.close()


@pytest.mark.parametrize("good", [[4], 4])
def test_a_transaction_that_has_noticed_it_may_write_another_value(good):
    ref = Ref([1])
    ref.deref().append(2)

    def body():
        try:
            ref.deref()
        except MutatedValueError:
            ref.set(good)

    atomically(body)
    assert ref.deref() == good


def test_the_same_object_set_again_is_found():
    atom = Atom([1])
    same = atom.deref()
    same.append(2)
    with refused():
        atom.reset(same)


def test_the_message_names_cell_and_place():
    where = line() + 1
    stock = Ref({"a": 1}, name="stock")
    stock.deref()["a"] = 2
    with pytest.raises(
        MutatedValueError, match=f"Ref 'stock' .* it .dict. .*set at {HERE}:{where}"
    ):
        stock.deref()
    own = line() + 3

    def body():
        stock.set([[]])[0].append(1)

    with pytest.raises(
        MutatedValueError, match=f"'stock'.*inside of it .list.*:{own}\\b"
    ):
        atomically(stock.set, 1)
        atomically(body)


def test_the_place_of_an_action_is_its_function():
    where = line() + 1
    agent = Agent(0).send(lambda _: [1])
    agent.wait()
    agent.deref().append(2)
    with pytest.raises(MutatedValueError, match=f"Agent at .*{HERE}:{where}\\b"):
        agent.deref()


def test_the_place_is_a_line_of_the_user_and_not_of_a_library():
    atom, stack = Atom(0), ExitStack()
    stack.callback(atom.reset, [1])
    where = line() + 1
    stack.close()
    atom.deref().append(2)
    with pytest.raises(MutatedValueError, match=f"{HERE}:{where}\\b"):
        atom.deref()
    elsewhere_only = threading.Thread(target=atom.reset, args=([1],))
    atom.reset(None)
    elsewhere_only.start()
    elsewhere_only.join(PATIENCE)
    atom.deref().append(2)
    with pytest.raises(MutatedValueError, match=r"when it was set\. Leave"):
        atom.deref()


def test_the_cell_of_an_old_version_is_named():
    atom = Atom([1], name="old")
    snapshot = Snapshot()
    snapshot.read(atom)
    unread = Atom([1], name="unread")
    unread.reset([2]).append(3)
    with pytest.raises(MutatedValueError, match="Atom 'unread'"):
        kept_of(unread._newest.older).look()
    old = atom.reset([2])
    atom.reset([3])
    old.append(4)
    with pytest.raises(MutatedValueError, match="Atom 'old'"):
        snapshot.read(atom)
    snapshot.close()


def test_what_a_part_has_set_over_is_looked_at_when_the_part_is_undone():
    ref = Ref([0])

    def part(kept):
        ref.set([2])
        if kept is not None:
            kept.append(3)
        raise KeyError

    def body(mutates):
        kept = ref.set([1])
        with pytest.raises(KeyError):
            atomically(part, kept if mutates else None)

    with refused():
        atomically(body, True)
    assert ref.deref() == [0]
    atomically(body, False)
    assert ref.deref() == [1]


def test_commutes_in_a_part_that_is_undone():
    ref = Ref([0])

    def part():
        ref.commute(lambda value: [*value, 2])
        raise KeyError

    def body():
        ref.commute(lambda value: [*value, 1])
        with pytest.raises(KeyError):
            atomically(part)

    atomically(body)
    assert ref.deref() == [0, 1]


def test_commutes_that_are_written_over():
    ref = Ref([0])

    def body():
        ref.commute(lambda value: [*value, 1])
        ref.commute(lambda value: [*value, 2])
        ref.set([3])

    atomically(body)
    assert ref.deref() == [3]


def test_values_of_a_transaction_local_are_its_own():
    touched = TransactionLocal(list)

    @dosync
    def work():
        touched.get().append(1)
        touched.get().append(2)
        return touched.get()

    assert work() == [1, 2]


def test_repr_shows_a_changed_value():
    cells = [make([1]) for make, _ in CELLS.values()]
    for cell, (_, read) in zip(cells, CELLS.values(), strict=True):
        read(cell).append(2)
        assert "[1, 2]" in repr(cell)


# What is looked into


@dataclass
class Point:
    x: Any
    cache: dict[str, int] = field(default_factory=dict, compare=False)

    @cached_property
    def double(self):
        return self.x * 2


@dataclass(slots=True)
class Slotted:
    x: Any


@dataclass(frozen=True)
class Frozen:
    x: Any


class Plain:
    def __init__(self, x):
        self.x = x

    @cached_property
    def double(self):
        return self.x * 2


class Evil:
    """Whatever one asks of it raises."""

    def __eq__(self, other):
        raise AssertionError

    def __hash__(self):
        raise AssertionError

    def __bool__(self):
        raise AssertionError

    def __getattr__(self, name):
        raise AssertionError

    def __len__(self):
        raise AssertionError


class Names(list):
    pass


@dataclass
class Bag(list):
    name: str


class Space(SimpleNamespace):
    @cached_property
    def double(self):
        return self.x * 2


def setter(name, value):
    return lambda one: setattr(one, name, value)


CHANGES = {
    "list": ([1], lambda one: one.append(2)),
    "equal": ([1], lambda one: one.__setitem__(0, True)),
    "evil": ([Evil()], lambda one: one.__setitem__(0, Evil())),
    "list item": ([1, 2], lambda one: one.reverse()),
    "list subclass": (Names([1]), lambda one: one.append(2)),
    "dict": ({1: 2}, lambda one: one.update({1: 3})),
    "dict key": ({1: 2}, lambda one: one.update({3: one.pop(1)})),
    "dict order": ({1: 1, 2: 2}, lambda one: one.update({1: one.pop(1)})),
    "defaultdict": (defaultdict(list), lambda one: one["read"]),
    "ordered": (OrderedDict({1: 1, 2: 2}), lambda one: one.move_to_end(1)),
    "counter": (Counter("a"), lambda one: one.update("a")),
    "set": ({1}, lambda one: one.add(2)),
    "set swap": ({1}, lambda one: (one.discard(1), one.add(2))),
    "deque": (deque([1, 2]), lambda one: one.rotate(1)),
    "bytearray": (bytearray(b"ab"), lambda one: one.reverse()),
    "array": (array("i", [1]), lambda one: one.append(2)),
    "namespace": (SimpleNamespace(x=1), setter("x", 2)),
    "dataclass": (Point(1), setter("x", 2)),
    "slots": (Slotted(1), setter("x", 2)),
    "fields of a list": (Bag("a"), setter("name", "b")),
    "items of a dataclass": (Bag("a"), lambda one: one.append(1)),
    "namespace subclass": (Space(x=1), setter("x", 2)),
    "in tuple": (([1],), lambda one: one[0].append(2)),
    "in frozen": (Frozen([1]), lambda one: one.x.append(2)),
    "in frozenset": (frozenset({Frozen(1), 2}), None),
    "key": ({Frozen(1): 1}, None),
    "nan": ([math.nan], lambda one: one.append(1)),
}


@pytest.mark.parametrize("what", [name for name in CHANGES if CHANGES[name][1]])
def test_what_is_looked_into(what):
    value, change = CHANGES[what]
    atom = Atom([value])
    for _ in range(2):
        atom.deref()
    change(value)
    with refused():
        atom.deref()


class Meta(type):
    def __eq__(cls, other):
        raise AssertionError

    __hash__ = None


class Odd(metaclass=Meta):
    pass


def leaf():
    value = [Plain([1]), threading.Lock(), Ref([1]), Evil(), Odd(), math.nan]
    yield value
    value[0].x.append(2)
    value[0].y = 3
    value[1].acquire()
    atomically(value[2].alter, lambda x: [*x, 2])


def caches():
    point, plain, space = Point(1), Plain(2), Space(x=3)
    yield (point, plain, space)
    assert (point.double, plain.double, space.double) == (2, 4, 6)
    point.cache["a"] = 1


def circle():
    value = [1]
    value.append({"me": value})
    yield value


def untouched():
    yield [value for value, _ in CHANGES.values()]


def generator():
    value = [iter([1, 2]), (n for n in range(3)), open]
    yield value
    next(value[0])
    next(value[1])


@pytest.mark.parametrize("harmless", [leaf, caches, circle, untouched, generator])
def test_what_is_no_change_of_a_value(harmless):
    steps = harmless()
    atom = Atom(next(steps))
    atom.deref()
    next(steps, None)
    atom.deref()
    atomically(atom.deref)


def test_what_cannot_be_read_since_somebody_changes_it_has_changed():
    def fails(one):
        if len(reads) < 2:
            reads.append(one)
            raise RuntimeError("dictionary changed size during iteration")
        return (*one, *one.values())

    reads, value, prints = [], {1: 2}, Prints(())
    prints.known[id(dict)] = dict, ((fails, True),)
    records = prints.take([value])
    assert changed(records) is value
    assert changed(records) is value
    assert changed(prints.take([value])) is None
    assert reads == [value, value]


# How long it is kept


class Item:
    pass


def test_prints_go_with_their_values():
    for drop in ("version", "cell"):
        atom = Atom([item := Item()])
        atom.deref()
        gone = weakref.ref(item)
        del item
        if drop == "version":
            atom.reset([])
            atom.reset([])
        else:
            del atom
        gc.collect()
        assert gone() is None, drop


# Random values and programs

leaves = st.none() | st.integers() | st.floats() | st.text(max_size=2)
values = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.lists(inner, max_size=3).map(deque),
        st.dictionaries(st.integers(), inner, max_size=3),
        st.sets(st.integers(), max_size=3),
        st.binary(max_size=3).map(bytearray),
        inner.map(Point),
        inner.map(Frozen),
    ),
    max_leaves=12,
)


def containers(value):
    """Yield what can be changed in `value`, at any depth."""
    if isinstance(value, (list, deque, tuple)):
        inner = list(value)
    elif isinstance(value, dict):
        inner = list(value.values())
    elif isinstance(value, (Point, Frozen)):
        inner = [value.x]
    else:
        inner = []
    if isinstance(value, (list, deque, dict, set, bytearray, Point)):
        yield value
    for one in inner:
        yield from containers(one)


def change(one, shrinks):
    if isinstance(one, Point):
        one.x = [one.x]
    elif isinstance(one, dict):
        one.popitem() if shrinks and one else one.update(new=1)
    elif isinstance(one, set):
        one.pop() if shrinks and one else one.add("new")
    elif shrinks and one:
        one.pop()
    else:
        one.append(1)


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_each_change_at_any_depth_is_found(data):
    value = data.draw(values.filter(lambda value: any(containers(value))))
    cell = data.draw(st.sampled_from([Ref, Atom, AtomicReference]))(value)
    read = cell.get if isinstance(cell, AtomicReference) else cell.deref
    assert read() is value
    one = data.draw(st.sampled_from(list(containers(value))))
    change(one, data.draw(st.booleans()))
    inside = data.draw(st.booleans())
    with refused():
        atomically(read) if inside else read()


steps = st.lists(
    st.tuples(
        st.sampled_from(["get", "set", "alter", "commute", "fail", "swap", "share"]),
        st.integers(0, 1),
        values,
    ),
    max_size=8,
)


def run_step(cells, step):
    name, index, value = step
    ref, atom = cells[index], cells[2]
    if name == "get":
        [ref.deref(), atom.deref()]
    elif name == "set":
        ref.set(value)
    elif name == "alter":
        ref.alter(lambda old: [old, value])
    elif name == "commute":
        ref.commute(lambda old: (old, value))
    elif name == "swap":
        atom.swap(lambda old: {0: old, 1: value})
    elif name == "share":
        atom.reset(ref.deref())
    else:
        raise KeyError


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.booleans(), steps), max_size=4))
def test_programs_that_change_nothing_in_place_hear_nothing(program):
    cells = Ref([0]), Ref({}), Atom([])
    for nested, part in program:

        def body(part=part, nested=nested):
            for step in part:
                try:
                    if nested:
                        atomically(run_step, cells, step)
                    elif step[0] != "fail":
                        run_step(cells, step)
                except KeyError:
                    pass

        atomically(body)
    [cell.deref() for cell in cells]


# Threads


@pytest.mark.usefixtures("often")
def test_threads_that_copy_hear_nothing():
    ref, atom, agent = Ref({0: [0]}), Atom([0]), Agent([0])

    def work():
        for n in range(60):
            atomically(ref.alter, lambda old, n=n: {**old, n: [*old[0], n]})
            atom.swap(lambda old, n=n: [*old[-5:], n])
            agent.send(lambda old, n=n: [*old[-5:], n])

    run_threads(work, work, work)
    agent.wait(PATIENCE)
    assert len(ref.deref()) == 60


@pytest.mark.usefixtures("often")
def test_threads_of_which_one_changes_in_place_all_hear_of_it():
    atom = Atom([0])
    changed = threading.Event()

    def bad():
        atom.deref().append(1)
        changed.set()
        with refused():
            atom.deref()

    def good():
        assert changed.wait(PATIENCE)
        with refused():
            atom.deref()
        with refused():
            atom.swap(lambda old: [*old, 1])

    run_threads(bad, good, good)
