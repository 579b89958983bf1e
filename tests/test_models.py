"""Hypothesis compares refs and atoms with models that are plain Python."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from helpers import Snapshot, elsewhere
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
)

from atomos import Atom, Ref, atomically, dosync
from atomos.errors import HistoryLostError, NoTransactionError, ValidationError

SETTINGS = settings(
    max_examples=60,
    stateful_step_count=30,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


class Refused(Exception):
    pass


class ModelRef:
    """The versions of one ref: number -> value, and which of the old are kept."""

    def __init__(self, cap):
        self.cap = cap
        self.versions = {0: 0}
        self.newest = 0
        self.kept = set()

    @property
    def value(self):
        return self.versions[self.newest]

    def seen_at(self, point):
        return max(number for number in self.versions if number <= point)

    def commit(self, number, value, points):
        self.kept.add(self.newest)
        self.versions[number] = value
        self.newest = number
        self.trim(points)

    def trim(self, points):
        needed = self.needed(points)
        kept = sorted(needed & self.kept)
        if self.cap is not None:
            kept = kept[max(len(kept) - self.cap, 0) :]
        self.kept = set(kept)

    def needed(self, points):
        return {self.seen_at(point) for point in points} - {self.newest}

    def read_at(self, point):
        number = self.seen_at(point)
        if number == self.newest or number in self.kept:
            return self.versions[number]
        return "lost"


INDEX = st.integers(0, 3)
VALUES = st.integers(-3, 100)


class RefMachine(RuleBasedStateMachine):
    """Refs, a plain block that may be open, and snapshots that stay open.

    The ref 2 has a max_history of 1, and the ref 3 a validator.
    """

    def __init__(self):
        super().__init__()
        caps = [None, None, 1, None]
        self.refs = [Ref(0, max_history=cap) for cap in caps]
        self.refs[3].set_validator(lambda n: n >= 0)
        self.models = [ModelRef(cap) for cap in caps]
        self.now = 0
        self.readers = {}  # number -> (reader, point)
        self.made = 0
        self.stack = None
        self.own = {}  # what the open block has written
        self.held = set()

    @property
    def points(self):
        return [point for _, point in self.readers.values()]

    def committed(self, writes):
        if writes:
            self.now += 1
            for i, value in writes.items():
                self.models[i].commit(self.now, value, self.points)
                assert self.refs[i].history_count == len(self.models[i].kept)

    # Transactions that are over at once

    @rule(writes=st.dictionaries(INDEX, VALUES, min_size=1), refused=st.booleans())
    def commit_elsewhere(self, writes, refused):
        """In another thread, on what the open block does not hold."""
        writes = {i: value for i, value in writes.items() if i not in self.held}

        def body():
            for i, value in writes.items():
                self.refs[i].set("halfway")
                self.refs[i].set(value)
            if refused:
                raise Refused

        if refused or writes.get(3, 0) < 0:
            with pytest.raises(Refused if refused else ValidationError):
                elsewhere(atomically, body)
            return
        elsewhere(atomically, body)
        self.committed(writes)

    @precondition(lambda self: self.stack is None)
    @rule(i=INDEX, j=INDEX, amount=st.integers(1, 5), snapshot=st.booleans())
    def transfer(self, i, j, amount, snapshot):
        @dosync(isolation="snapshot" if snapshot else None)
        def body():
            self.refs[i].alter(lambda n: n + amount)
            with dosync():
                self.refs[j].commute(lambda n: n + amount)

        body()
        writes = {i: self.models[i].value + amount}
        writes[j] = writes.get(j, self.models[j].value) + amount
        self.committed(writes)

    # The open block

    @precondition(lambda self: self.stack is None)
    @rule()
    def begin(self):
        self.stack = ExitStack()
        self.stack.enter_context(dosync())

    @precondition(lambda self: self.stack is not None)
    @rule(i=INDEX, value=VALUES, how=st.sampled_from(["set", "alter", "commute"]))
    def write(self, i, value, how):
        ref, before = self.refs[i], self.in_block(i)
        if how == "set":
            assert ref.set(value) == value
        elif how == "alter":
            assert ref.alter(lambda n: n + value) == before + value
        else:
            assert ref.commute(lambda n: n + value) is None
        self.own[i] = value if how == "set" else before + value
        self.held.add(i)

    @precondition(lambda self: self.stack is not None)
    @rule(i=INDEX, how=st.sampled_from(["deref", "ensure", "nested"]))
    def read_in_block(self, i, how):
        ref = self.refs[i]
        calls = {
            "deref": ref.deref,
            "ensure": ref.ensure,
            "nested": lambda: atomically(ref.deref),
        }
        assert calls[how]() == self.in_block(i)
        self.held.add(i)

    def in_block(self, i):
        return self.own.get(i, self.models[i].value)

    @precondition(lambda self: self.stack is not None)
    @rule(refused=st.booleans())
    def end(self, refused):
        stack, self.stack = self.stack, None
        own, self.own, self.held = self.own, {}, set()
        if refused:
            with pytest.raises(Refused), stack:
                raise Refused
        elif own.get(3, 0) < 0:
            with pytest.raises(ValidationError):
                stack.close()
        else:
            stack.close()
            self.committed(own)

    # Readers

    @rule()
    def open_reader(self):
        self.made += 1
        self.readers[self.made] = Snapshot(), self.now

    @precondition(lambda self: len(self.readers) < 60)
    @rule(i=INDEX, count=st.sampled_from([3, 33, 40]))
    def open_many(self, i, count):
        """As many versions as there are readers, more than hang on the chain."""
        for _ in range(count if i not in self.held else 0):
            self.open_reader()
            value = self.models[i].value + 1
            elsewhere(atomically, self.refs[i].set, value)
            self.committed({i: value})

    @precondition(lambda self: self.readers)
    @rule(data=st.data(), i=INDEX)
    def read(self, data, i):
        number = data.draw(st.sampled_from(sorted(self.readers)))
        snapshot, point = self.readers[number]
        expected = self.models[i].read_at(point)
        if expected == "lost":
            # Which ends the block, too: it is left by the error.
            with pytest.raises(HistoryLostError):
                snapshot.read(self.refs[i])
            del self.readers[number]
        else:
            assert snapshot.read(self.refs[i]) == expected

    @precondition(lambda self: self.readers)
    @rule(data=st.data())
    def close_reader(self, data):
        number = data.draw(st.sampled_from(sorted(self.readers)))
        self.readers.pop(number)[0].close()

    @rule(i=INDEX)
    def trim(self, i):
        self.refs[i].trim_history()
        self.models[i].trim(self.points)
        assert self.refs[i].history_count == len(self.models[i].kept)

    # What always holds

    @invariant()
    def agrees(self):
        for i, (ref, model) in enumerate(zip(self.refs, self.models, strict=True)):
            ref._check()
            needed = len(model.needed(self.points) & model.kept)
            assert needed <= ref.history_count <= len(model.kept)
            if self.stack is None or i in self.held:
                inside = self.in_block(i)
                assert ref.deref() == inside
            assert elsewhere(ref.deref) == model.value
            if self.stack is None:
                with pytest.raises(NoTransactionError):
                    ref.set(0)

    def teardown(self):
        if self.stack is not None:
            self.end(refused=False)
        for reader, _ in self.readers.values():
            reader.close()
        self.readers = {}
        for i in range(4):
            self.trim(i)
            assert self.refs[i].history_count == 0


TestRef = RefMachine.TestCase
TestRef.settings = SETTINGS


def add(n, amount=1):
    return n + amount


class AtomMachine(RuleBasedStateMachine):
    """An atom, alone or in transactions, its watches, validator and metadata."""

    def __init__(self):
        super().__init__()
        self.atom = Atom(0, meta="first", name="model")
        self.value = 0
        self.meta = "first"
        self.least = None  # what the validator demands
        self.watches = {}
        self.told = []
        self.expected = []

    def fits(self, value):
        return self.least is None or value >= self.least

    def changed(self, value):
        """Note a commit."""
        for key in self.watches:
            self.expected.append((key, self.value, value))
        self.value = value

    def call(self, fn, value, result, inside):
        """Run ``fn()``, which shall set the atom to `value` and return `result`."""
        run = atomically if inside else lambda fn: fn()
        if not self.fits(value):
            with pytest.raises(ValidationError, match="model"):
                run(fn)
            return
        assert run(fn) == result
        self.changed(value)

    @rule(amount=VALUES, inside=st.booleans())
    def swap(self, amount, inside):
        after = self.value + amount
        self.call(lambda: self.atom.swap(add, amount), after, after, inside)

    @rule(amount=VALUES, inside=st.booleans())
    def swap_vals(self, amount, inside):
        before, after = self.value, self.value + amount

        def fn():
            return self.atom.swap_vals(add, amount=amount)

        self.call(fn, after, (before, after), inside)

    @rule(value=VALUES, inside=st.booleans())
    def reset(self, value, inside):
        self.call(lambda: self.atom.reset(value), value, self.value, inside)

    @rule(value=VALUES, inside=st.booleans())
    def reset_vals(self, value, inside):
        result = (self.value, value)
        self.call(lambda: self.atom.reset_vals(value), value, result, inside)

    @rule(guess=VALUES, value=VALUES, right=st.booleans(), inside=st.booleans())
    def compare_and_set(self, guess, value, right, inside):
        old = float(self.value) if right else guess

        def fn():
            return self.atom.compare_and_set(old, value)

        if old == self.value:
            self.call(fn, value, True, inside)
        else:
            assert (atomically(fn) if inside else fn()) is False

    @rule(amounts=st.lists(VALUES, max_size=4), refused=st.booleans())
    def transaction(self, amounts, refused):
        def body():
            value = self.value
            for amount in amounts:
                value += amount
                assert self.atom.swap(add, amount) == value
                assert self.atom.deref() == value
            assert elsewhere(self.atom.deref) == self.value
            if refused:
                raise Refused

        after = self.value + sum(amounts)
        if refused:
            with pytest.raises(Refused):
                atomically(body)
        elif amounts:
            self.call(body, after, None, inside=True)

    @rule(key=st.sampled_from("abc"), broken=st.booleans())
    def add_watch(self, key, broken):
        def watch(key, atom, old, new):
            assert atom is self.atom
            self.told.append((key, old, new))
            if broken:
                raise Refused

        self.atom.add_watch(key, watch)
        self.watches[key] = watch

    @rule(key=st.sampled_from("abc"))
    def remove_watch(self, key):
        self.atom.remove_watch(key)
        self.watches.pop(key, None)

    @rule(old=VALUES, new=VALUES)
    def notify_watches(self, old, new):
        self.atom.notify_watches(old, new)
        self.expected.extend((key, old, new) for key in self.watches)

    @rule(least=st.none() | st.integers(-5, 5))
    def set_validator(self, least):
        validator = None if least is None else lambda n: n >= least
        if least is not None and self.value < least:
            before = self.atom.get_validator()
            with pytest.raises(ValidationError):
                self.atom.set_validator(validator)
            assert self.atom.get_validator() is before
            return
        self.atom.set_validator(validator)
        self.least = least
        assert self.atom.get_validator() is validator

    @rule(meta=st.text(max_size=3))
    def reset_meta(self, meta):
        assert self.atom.reset_meta(meta) == meta
        self.meta = meta

    @rule(more=st.text(max_size=3))
    def alter_meta(self, more):
        assert self.atom.alter_meta(add, more) == self.meta + more
        self.meta += more

    @invariant()
    def agrees(self):
        assert self.atom.deref() == self.value
        assert atomically(self.atom.deref) == self.value
        assert self.atom.meta() == self.meta
        assert self.atom.get_watches() == self.watches
        assert self.told == self.expected
        assert repr(self.value) in repr(self.atom)


TestAtom = AtomMachine.TestCase
TestAtom.settings = SETTINGS
