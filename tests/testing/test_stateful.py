"""State machines whose rules run at once, against the order of their commits."""

from __future__ import annotations

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant
from testing import breaks

from atomos import Ref, atomically, check, dosync, retry
from atomos.testing import (
    Schedule,
    TransactionalStateMachine,
    run_interleaved,
    transaction,
)
from atomos.testing._commit_order import CommitOrder

amounts = st.integers(1, 9)
#: Nothing is printed or kept, and time is spent on finding only.
QUICK = settings(
    max_examples=30,
    stateful_step_count=6,
    deadline=None,
    database=None,
    derandomize=True,
    report_multiple_bugs=False,
    phases=[Phase.generate],
)


class Bank(TransactionalStateMachine):
    def make_state(self):
        return [Ref(10, name="checking"), Ref(20, name="savings")]

    def observe(self, state):
        return [ref.deref() for ref in state]

    @transaction(amount=amounts)
    def move(self, state, amount):
        checking, savings = state
        if checking.deref() >= amount:
            checking.alter(lambda n: n - amount)
            savings.alter(lambda n: n + amount)
        return checking.deref()

    @transaction()
    def total(self, state):
        return sum(ref.deref() for ref in state)

    @invariant()
    def nothing_is_lost(self):
        assert sum(self.observe(self.state)) == 30


class Crosswise(TransactionalStateMachine):
    def make_state(self):
        return [Ref(0, name="a"), Ref(0, name="b")]

    def observe(self, state):
        return [ref.deref() for ref in state]

    @transaction(which=st.integers(0, 1))
    def copy(self, state, which):
        state[which].set(state[1 - which].deref() + 1)


class Counting(Bank):
    """What its rule does besides is not undone when it runs again."""

    def __init__(self):
        self.runs = {}
        super().__init__()

    @transaction()
    def count(self, state):
        runs = self.runs[id(state)] = self.runs.get(id(state), 0) + 1
        state[0].alter(lambda n: n + 0)
        return runs


class Waiting(Bank):
    @transaction(amount=amounts)
    def take_if_there(self, state, amount):
        check(state[1].deref() >= 25)
        state[1].alter(lambda n: n - amount)
        state[0].alter(lambda n: n + amount)

    @transaction()
    def wait_in_vain(self, state):
        state[0].deref()
        retry()


def run(machine, **options):
    class Machine(machine):
        pass

    Machine.TestCase.settings = settings(QUICK, **options)
    Machine.TestCase().runTest()


@pytest.mark.parametrize("machine", [Bank, Crosswise, Waiting])
def test_what_is_right_passes(machine):
    run(machine)


@pytest.mark.parametrize(
    ("machine", "broken"),
    [
        (Crosswise, breaks.no_validation),
        (Bank, breaks.read_outside_the_snapshot),
    ],
)
def test_what_is_broken_is_found(machine, broken):
    with (
        broken(),
        pytest.raises(AssertionError, match="in the order of the commits") as e,
    ):
        run(machine, max_examples=300)
    assert any("under Schedule(" in note for note in e.value.__notes__)


def test_an_effect_of_a_rule_is_found():
    with pytest.raises(AssertionError, match="count returned"):
        run(Counting, max_examples=300)


def test_a_model_of_its_own():
    class Plain(list):
        pass

    class Modelled(Bank):
        def make_model(self):
            return Plain(super().make_state())

        def observe(self, state):
            assert isinstance(state, Plain) == (state is self.model)
            return super().observe(state)

    run(Modelled)


@pytest.mark.parametrize("at_once", [0, True, "3", 2.0])
def test_at_once_must_be_a_number(at_once):
    with pytest.raises(TypeError, match="at_once must be a whole number from 1 on"):
        type("Wrong", (Bank,), {"at_once": at_once})


def test_readers_come_after_what_they_have_seen():
    ref = Ref(0, name="ref")
    order = CommitOrder()

    def write():
        order.expect("write")
        atomically(ref.set, 1)

    def reader(form):
        def read():
            order.expect("read")
            return form(ref)

        return read

    def block(ref):
        with dosync():
            return ref.deref()

    for form in (lambda ref: atomically(ref.deref), block):
        for gap in range(12):
            order = CommitOrder()
            atomically(ref.set, 0)
            with order:
                done = run_interleaved(Schedule((gap, 0)), reader(form), write)
            expected = ["write", "read"] if done.results[0] else ["read", "write"]
            assert order.names() == expected, str(done)


def test_a_rule_needs_strategies():
    with pytest.raises(TypeError, match="needs a strategy for n, not int 3"):
        transaction(n=3)
