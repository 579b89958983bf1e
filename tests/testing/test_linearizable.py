"""`check_linearizable` against each order of the operations, and against the engine."""

from __future__ import annotations

import threading

import pytest
from helpers import PATIENCE, run_threads
from hypothesis import given, settings
from hypothesis import strategies as st
from plans import is_linearizable, operations

from atomos import Atom, AtomicInteger
from atomos.testing import History, Model, check_linearizable


def register(state, name, args):
    return (args[0], None) if name == "put" else (state, state)


def counter(state, name, args):
    return (state + args[0], state + args[0]) if name == "add" else (state, state)


def queue(state, name, args):
    if name == "put":
        return (*state, args[0]), None
    if not state:
        raise KeyError("empty")
    return state[1:], state[0]


REGISTER, COUNTER, QUEUE = Model(0, register), Model(0, counter), Model((), queue)

#: Begins and ends, what is right, and the same with one result that is not.
PAIRS = {
    "a get after a put": (
        REGISTER,
        [("a", "put", 1), ("a", None), ("b", "get"), ("b", 1)],
        [("a", "put", 1), ("a", None), ("b", "get"), ("b", 0)],
    ),
    "a get during a put": (
        REGISTER,
        [("a", "put", 1), ("b", "get"), ("b", 1), ("c", "get"), ("c", 1), ("a", None)],
        [("a", "put", 1), ("b", "get"), ("b", 1), ("c", "get"), ("c", 0), ("a", None)],
    ),
    "two that add": (
        COUNTER,
        [("a", "add", 1), ("b", "add", 1), ("a", 2), ("b", 1)],
        [("a", "add", 1), ("b", "add", 1), ("a", 1), ("b", 1)],
    ),
    "a pending one that has taken effect": (
        COUNTER,
        [("a", "add", 5), ("b", "get"), ("b", 5), ("c", "get"), ("c", 5)],
        [("a", "add", 5), ("b", "get"), ("b", 5), ("c", "get"), ("c", 0)],
    ),
    "a pending one that has not": (
        COUNTER,
        [("a", "add", 5), ("b", "get"), ("b", 0)],
        [("b", "get"), ("b", 5), ("a", "add", 5)],
    ),
    "one that raises": (
        QUEUE,
        [("a", "take"), ("a", KeyError("b")), ("b", "put", 1), ("b", None)],
        [("b", "put", 1), ("b", None), ("a", "take"), ("a", KeyError("b"))],
    ),
    "one that raises something else": (
        QUEUE,
        [("a", "take"), ("a", KeyError("b"))],
        [("a", "take"), ("a", ValueError("b"))],
    ),
    "one that is ended by Ctrl-C is pending": (
        QUEUE,
        [("a", "put", 1), ("a", KeyboardInterrupt()), ("b", "take"), ("b", 1)],
        [("a", "put", 1), ("a", KeyError()), ("b", "take"), ("b", 1)],
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_by_hand(name):
    model, right, wrong = PAIRS[name]
    assert check_linearizable(operations(*right), model)
    assert not check_linearizable(operations(*wrong), model)


@st.composite
def histories(draw):
    """Up to 6 operations of a queue or a register: begins, and some ends."""
    model = draw(st.sampled_from([REGISTER, COUNTER, QUEUE]))
    small = st.integers(0, 2)
    calls = {
        REGISTER: st.one_of(st.tuples(st.just("put"), small), st.just(("get",))),
        COUNTER: st.one_of(st.tuples(st.just("add"), small), st.just(("get",))),
        QUEUE: st.one_of(st.tuples(st.just("put"), small), st.just(("take",))),
    }[model]
    results = {
        "put": st.none(),
        "get": small,
        "add": st.integers(0, 4),
        "take": st.one_of(small, small, st.builds(KeyError)),
    }
    events, open_ones = [], []
    total = draw(st.integers(1, 6))
    for step in draw(st.lists(st.integers(0, 3), min_size=total, max_size=12)):
        if len(events) - len(open_ones) < 0 or (step < 2 and total > 0):
            total -= 1
            name, *args = draw(calls)
            open_ones.append((len(events), name))
            events.append((len(events), name, *args))
        elif open_ones:
            who, name = open_ones.pop(step % len(open_ones))
            events.append((who, draw(results[name])))
    return model, events


@settings(max_examples=300, deadline=None)
@given(histories())
def test_as_each_order(drawn):
    """The same answer as trying each order; and the shortest beginning is told of."""
    model, events = drawn
    found = check_linearizable(operations(*events), model)
    assert bool(found) == is_linearizable(operations(*events).operations, model)
    if found:
        return
    end = found.stuck.returned + 1
    shorter = operations(*events[: end - 1]).operations
    assert not is_linearizable(operations(*events[:end]).operations, model)
    assert is_linearizable(shorter, model)
    for choice in found.choices:
        assert (choice.result, type(choice.error)) != (
            found.stuck.result,
            type(found.stuck.error),
        )


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("xy"), st.integers(0, 2)), max_size=6))
def test_keys_are_judged_alone(puts):
    """The same answer with keys as without."""

    def both(state, name, args):
        state = dict(state)
        before = state.get(args[0], 0)
        if name == "put":
            state[args[0]] = args[1]
        return tuple(sorted(state.items())), before

    def one(state, name, args):
        return (args[1] if name == "put" else state), state

    events = []
    for n, (key, value) in enumerate(puts):
        events += [(n, "put", key, value)] if value else [(n, "get", key)]
    for n, (_, value) in enumerate(puts):
        events.append((n, value and value - 1))
    history = operations(*events)
    apart = Model(0, one, key=lambda name, args: args[0])
    found = check_linearizable(history, apart)
    assert bool(found) == bool(check_linearizable(history, Model((), both)))
    if found:
        assert len(found.order) == len(puts)


def test_what_it_says():
    history = operations(
        ("a", "put", 1), ("a", None), ("b", "put", 2), ("c", "get"), ("c", 0)
    )
    found = check_linearizable(history, REGISTER)
    assert repr(found).splitlines() == [
        "not linearizable: get() -> 0 in MainThread",
        "No order of it and the operations before it explains all their results.",
        "This order explains all but its own:",
        "  put(1) -> None in MainThread",
        "Where get could have been, it would have:",
        "  returned 1, in state 1",
        "  returned 2, in state 2",
    ]


def test_a_long_one_says_only_the_end():
    events = [event for n in range(40) for event in ((n, "put", n), (n, None))]
    found = check_linearizable(operations(*events, (99, "get"), (99, 1)), REGISTER)
    assert "... 30 operations before" in repr(found)
    assert len(repr(found).splitlines()) < 20


def test_each_choice_is_told_once():
    """Errors are not equal to each other."""
    events = [(n, "take") for n in range(4)] + [(0, 7)]
    found = check_linearizable(operations(*events), QUEUE)
    assert repr(found).count("raised KeyError('empty')") == 1


def test_an_unhashable_state():
    history = operations(("a", "put", 1), ("a", None))
    with pytest.raises(TypeError, match=r"state \[\] is not hashable"):
        check_linearizable(history, Model([], queue))
    with pytest.raises(TypeError, match=r"state \{\} is not hashable"):
        check_linearizable(history, Model(0, lambda state, name, args: ({}, None)))


def test_an_empty_history():
    assert check_linearizable(History(), COUNTER)


def test_a_long_history_of_few_threads_is_quick():
    """10,000 operations, three at a time, each with its result in its own order."""
    events, total = [], 0
    for n in range(0, 9999, 3):
        events += [(n + i, "add", 1) for i in range(3)]
        events += [(n + i, total + 3 - i) for i in range(3)]
        total += 3
    found = check_linearizable(operations(*events), COUNTER)
    assert found
    assert len(found.order) == 9999


def test_no_state_is_searched_twice():
    """8 pending ones have 40,320 orders, and 256 sets of those that took effect."""
    steps = []

    def step(state, name, args):
        steps.append(name)
        return counter(state, name, args)

    events = [*((n, "add", 1) for n in range(8)), ("get", "get"), ("get", 9)]
    assert not check_linearizable(operations(*events), Model(0, step))
    assert len(steps) < 10_000


# Real threads


def test_atomic_integer(often):
    history, cell = History(), AtomicInteger(0)

    def work():
        for n in range(100):
            history.call("add", cell.add_and_get, n % 3)
            history.call("get", cell.get)

    run_threads(work, work, work, work)
    found = check_linearizable(history, COUNTER)
    assert found
    assert len(found.order) == 800


def test_atom(often):
    history, atom = History(), Atom(0)

    def add(n):
        return atom.swap(lambda value: value + n)

    def work():
        for n in range(100):
            history.call("add", add, n % 3)
            history.call("get", atom.deref)

    run_threads(work, work, work, work)
    assert check_linearizable(history, COUNTER)


def test_an_atom_that_is_read_and_then_set():
    history, atom, turn = History(), Atom(0), threading.Barrier(2)

    def add(n):
        seen = atom.deref()
        turn.wait(PATIENCE)
        atom.reset(seen + n)
        return seen + n

    def work():
        history.call("add", add, 1)

    run_threads(work, work)
    found = check_linearizable(history, COUNTER)
    assert not found
    assert "would have:\n  returned 2, in state 1" in repr(found)
