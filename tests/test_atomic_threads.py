"""Atomics under threads, and in transactions that threads run at once.

Where an order matters it is made by events, so each outcome is certain.
"""

from __future__ import annotations

import sys
import threading

import pytest
from helpers import elsewhere

from atomos import Ref, dosync
from atomos.atomic import (
    AtomicBoolean,
    AtomicFloat,
    AtomicInteger,
    AtomicIntegerArray,
    AtomicLong,
    AtomicMarkableReference,
    AtomicReference,
    AtomicReferenceArray,
    AtomicStampedReference,
    LongAccumulator,
    LongAdder,
)
from atomos.stm._cell import pending
from atomos.stm._clock import read_point
from atomos.stm._history import count
from atomos.stm._registry import my_record
from atomos.stm._status import NOBODY
from atomos.stm._turn import FREE, clock, release, turns

THREADS = 4
CALLS = 2000
SECONDS = 20  # no wait in here takes that long unless something hangs
SOON = 0.1  # what must not happen is given that long to happen


@pytest.fixture(autouse=True)
def _switch_often():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def at_once(*functions):
    """Run each in a thread, starting together; raise what one of them raised."""
    start = threading.Barrier(len(functions))
    errors = []

    def run(fn):
        try:
            start.wait(SECONDS)
            fn()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(fn,)) for fn in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
        assert not thread.is_alive()
    if errors:
        raise errors[0]


def in_thread(fn):
    """Run `fn` in another thread to its end."""
    at_once(fn)


# Nothing is lost


@pytest.mark.parametrize(
    ("make", "call", "total"),
    [
        (AtomicInteger, lambda a: a.add_and_get(1), int),
        (AtomicInteger, lambda a: a.increment_and_get(), int),
        (AtomicLong, lambda a: a.get_and_add(1), int),
        (AtomicInteger, lambda a: a.get_and_increment(), int),
        (AtomicFloat, lambda a: a.subtract_and_get(-1), int),
        (AtomicInteger, lambda a: a.update_and_get(lambda n: n + 1), int),
        (AtomicReference, lambda a: a.get_and_update(lambda n: (n or 0) + 1),
         lambda a: a.get()),
        (AtomicInteger, lambda a: a.accumulate_and_get(1, lambda n, x: n + x), int),
        (lambda: AtomicIntegerArray(3), lambda a: a.increment_and_get(1),
         lambda a: a.get(1)),
        (LongAdder, lambda a: a.increment(), int),
        (lambda: LongAccumulator(lambda a, b: a + b, 0), lambda a: a.accumulate(1),
         lambda a: a.get()),
    ],
)  # fmt: skip # at most two lines for a case
def test_increments_add_up(make, call, total):
    atomic = make()

    def work():
        for _ in range(CALLS):
            call(atomic)

    at_once(*[work] * THREADS)
    assert total(atomic) == THREADS * CALLS


def test_each_thread_gets_its_own_numbers():
    tickets = AtomicInteger()
    drawn = [[] for _ in range(THREADS)]

    def worker(mine, draw):
        def work():
            for _ in range(CALLS):
                mine.append(draw())

        return work

    draws = [tickets.get_and_increment, lambda: tickets.add_and_get(1) - 1]
    at_once(*[worker(mine, draws[i % 2]) for i, mine in enumerate(drawn)])
    assert sorted(n for mine in drawn for n in mine) == list(range(THREADS * CALLS))
    assert all(mine == sorted(mine) for mine in drawn)


def test_one_thread_wins_each_flag():
    flags = [AtomicBoolean() for _ in range(CALLS)]
    wins = AtomicInteger()

    def work():
        for flag in flags:
            if not flag.get_and_set(True):
                wins.increment_and_get()

    at_once(*[work] * THREADS)
    assert wins.get() == CALLS


@pytest.mark.parametrize(
    "exchange",
    [
        lambda ref, token: ref.get_and_set(token),
        lambda ref, token: ref.get_and_update(lambda _: token),
        lambda ref, token: ref.get_and_accumulate(token, lambda _, x: x),
    ],
)
def test_each_value_is_handed_out_once(exchange):
    slot = AtomicReference(-1)
    taken = [[] for _ in range(THREADS)]

    def worker(name, mine):
        def work():
            for i in range(CALLS):
                mine.append(exchange(slot, name * CALLS + i))

        return work

    at_once(*[worker(name, mine) for name, mine in enumerate(taken)])
    everything = [slot.get(), *(token for mine in taken for token in mine)]
    assert sorted(everything) == list(range(-1, THREADS * CALLS))


@pytest.mark.parametrize(
    "swap",
    [
        lambda ref, old, new: ref.compare_and_set(old, new),
        lambda ref, old, new: ref.compare_and_set_identity(old, new),
        lambda ref, old, new: ref.compare_and_exchange(old, new) is old,
    ],
)
def test_compare_and_set_loops_lose_nothing(swap):
    stack = AtomicReference(())

    def worker(name):
        def work():
            for i in range(CALLS // 4):
                while True:
                    old = stack.get()
                    if swap(stack, old, ((name, i), old)):
                        break

        return work

    at_once(*[worker(name) for name in range(THREADS)])
    found, node = [], stack.get()
    while node:
        item, node = node
        found.append(item)
    assert len(found) == THREADS * (CALLS // 4)
    for name in range(THREADS):
        mine = [i for who, i in reversed(found) if who == name]
        assert mine == list(range(CALLS // 4))


def test_stamps_count_every_change():
    ref = AtomicStampedReference(0, 0)

    def work():
        for _ in range(CALLS // 4):
            while True:
                value, stamp = ref.get()
                assert value == stamp
                if ref.compare_and_set(value, value + 1, stamp, stamp + 1):
                    break

    at_once(*[work] * THREADS)
    assert ref.get() == (THREADS * (CALLS // 4),) * 2


def test_sum_then_reset_loses_no_addition():
    adder, done = LongAdder(), AtomicInteger()
    taken = []

    def add():
        for _ in range(5 * CALLS):
            adder.increment()
        done.increment_and_get()

    def take():
        while done.get() < 2:
            taken.append(adder.sum_then_reset())

    at_once(take, take, add, add)
    assert sum(taken) + adder.sum() == 2 * 5 * CALLS


def test_transactions_and_single_calls_mix():
    number, ref = AtomicInteger(), Ref(0)

    @dosync
    def both():
        number.increment_and_get()
        ref.alter(lambda n: n + 1)

    def transactions():
        for _ in range(CALLS // 4):
            both()

    def plain():
        for _ in range(CALLS // 8):
            with dosync():
                number.get_and_add(1)
                ref.alter(lambda n: n + 1)

    def alone():
        for _ in range(CALLS):
            number.add_and_get(1)

    at_once(transactions, transactions, plain, alone)
    joined = 2 * (CALLS // 4) + CALLS // 8
    assert ref.deref() == joined
    assert number.get() == joined + CALLS


# In a transaction


def written(atomic):
    """Return it after a write: `add_and_get` treats new ones in another way."""
    atomic.set(atomic.get())
    return atomic


def all_kinds():
    """Return (atomic, a call that writes it, how to read it) of each type."""
    return [
        (written(AtomicReference("a")), lambda a: a.set("b"), lambda a: a.get()),
        (written(AtomicReference("a")), lambda a: a.get_and_set("b"),
         lambda a: a.get()),
        (written(AtomicReference("a")), lambda a: a.compare_and_set("a", "b"),
         lambda a: a.get()),
        (written(AtomicReference("a")), lambda a: a.update_and_get(str.upper),
         lambda a: a.get()),
        (written(AtomicBoolean()), lambda a: a.set(True), lambda a: a.get()),
        (written(AtomicInteger()), lambda a: a.add_and_get(1), lambda a: a.get()),
        (written(AtomicLong()), lambda a: a.get_and_add(1), lambda a: a.get()),
        (written(AtomicFloat()), lambda a: a.decrement_and_get(), lambda a: a.get()),
        (AtomicReferenceArray(2), lambda a: a.set(1, 1), lambda a: a.get(1)),
        (AtomicIntegerArray(2), lambda a: a.add_and_get(1, 1), lambda a: a.get(1)),
        (AtomicStampedReference("a", 1), lambda a: a.attempt_stamp("a", 2),
         lambda a: a.get()),
        (AtomicMarkableReference("a", False), lambda a: a.set("b", True),
         lambda a: a.get()),
        (LongAdder(), lambda a: a.increment(), lambda a: a.sum()),
        (LongAccumulator(max, 1), lambda a: a.accumulate(2), lambda a: a.get()),
    ]  # fmt: skip # at most two lines for a case


@pytest.mark.parametrize("index", range(len(all_kinds())))
def test_undone_with_the_transaction(index):
    atomic, write, read = all_kinds()[index]
    before = read(atomic)
    with pytest.raises(ZeroDivisionError):
        with dosync():
            write(atomic)
            assert read(atomic) != before
            raise ZeroDivisionError
    assert read(atomic) == before
    with pytest.raises(ZeroDivisionError):

        @dosync
        def fails():
            write(atomic)
            raise ZeroDivisionError

        fails()
    assert read(atomic) == before


@pytest.mark.parametrize("index", range(len(all_kinds())))
def test_seen_by_others_at_the_commit_only(index):
    atomic, write, read = all_kinds()[index]
    before, seen = read(atomic), []
    look, looked = threading.Event(), threading.Event()

    def other():
        assert look.wait(SECONDS)
        seen.append(read(atomic))
        looked.set()

    def transaction():
        for tx in dosync():
            with tx:
                write(atomic)
                look.set()
                assert looked.wait(SECONDS)

    at_once(other, transaction)
    assert seen == [before]
    assert read(atomic) != before


def test_a_snapshot_shows_all_atomics_at_one_instant():
    one, other = AtomicInteger(), AtomicInteger()
    with dosync(read_only=True):
        assert one.get() == 0
        in_thread(lambda: (one.increment_and_get(), other.increment_and_get()))
        assert (one.get(), other.get()) == (0, 0)
    assert (one.get(), other.get()) == (1, 1)


def attempts_when_others_run(mine, others, after=lambda: None):
    """Return how many attempts a transaction needs whose body is `mine`.

    In its first attempt, `others` runs to its end in another thread between
    `mine` and the commit.
    """
    attempts = 0

    @dosync
    def body():
        nonlocal attempts
        attempts += 1
        mine()
        if attempts == 1:
            in_thread(others)
        after()

    body()
    return attempts


def test_array_elements_conflict_one_by_one():
    array = AtomicIntegerArray(2)

    def mine():
        array.increment_and_get(0)

    assert attempts_when_others_run(mine, lambda: array.increment_and_get(1)) == 1
    assert attempts_when_others_run(mine, lambda: array.increment_and_get(0)) == 2
    assert [array.get(0), array.get(1)] == [3, 1]


@pytest.mark.parametrize("alone", [False, True])
def test_adders_do_not_make_each_other_run_again(alone):
    adder = LongAdder()

    def others():
        if alone:
            adder.add(10)
        else:
            dosync(lambda: adder.add(10))()

    assert attempts_when_others_run(adder.increment, others) == 1
    assert adder.sum() == 11


def test_accumulators_do_not_make_each_other_run_again():
    peak = LongAccumulator(max, 0)

    def others():
        dosync(lambda: peak.accumulate(7))()

    assert attempts_when_others_run(lambda: peak.accumulate(5), others) == 1
    assert peak.get() == 7


def test_sum_after_add_is_an_ordinary_read():
    adder, sums = LongAdder(), []

    def mine():
        adder.increment()
        sums.append(adder.sum())

    def others():
        dosync(lambda: adder.add(10))()

    assert attempts_when_others_run(mine, others) == 2
    assert sums == [1, 11]
    assert adder.sum() == 11


def test_adding_to_an_integer_conflicts():
    number = AtomicInteger()
    mine = number.increment_and_get
    assert attempts_when_others_run(mine, lambda: number.add_and_get(10)) == 2
    assert number.get() == 11


def test_adders_in_overlapping_transactions_add_up():
    adder = LongAdder()

    def work():
        @dosync
        def body():
            adder.increment()
            adder.add(2)

        for _ in range(CALLS // 4):
            body()

    at_once(*[work] * THREADS)
    assert adder.sum() == 3 * THREADS * (CALLS // 4)


def test_compare_and_set_that_fails_in_a_transaction_is_still_a_read():
    state, log = AtomicReference("open"), Ref(())

    def mine():
        if not state.compare_and_set("closed", "locked"):
            log.alter(lambda entries: (*entries, state.get()))

    assert attempts_when_others_run(mine, lambda: state.set("closed")) == 2
    assert state.get() == "locked"
    assert log.deref() == ()


def test_function_runs_again_when_another_thread_is_faster():
    number, calls = AtomicInteger(1), []

    def slow(value):
        calls.append(value)
        if len(calls) == 1:
            in_thread(lambda: number.set(10))
        return value + 1

    assert number.update_and_get(slow) == 11
    assert calls == [1, 10]


def test_number_that_adds_slowly_is_asked_again():
    """The first sum is made on a value that is replaced before it is stored."""

    class Slow(int):
        def __radd__(self, value):
            calls.append(value)
            if len(calls) == 1:
                in_thread(lambda: number.set(10))
            return value + int(self)

    number, calls = AtomicInteger(1), []
    assert number.add_and_get(Slow(5)) == 15
    assert calls == [1, 10]


def test_waits_for_a_plain_block_that_holds_it():
    number = AtomicInteger()
    held, done = threading.Event(), threading.Event()
    number.set(0)

    def block():
        with dosync():
            number.set(5)
            held.set()
            assert not done.wait(SOON)

    def alone():
        assert held.wait(SECONDS)
        assert number.get() == 0
        assert number.add_and_get(1) == 6
        done.set()

    at_once(block, alone)
    assert number.get() == 6


# What add_and_get does itself for speed


def open_snapshot(cell, close):
    """Return once another thread has a snapshot; it tells `cell` after `close`."""
    opened, seen = threading.Event(), []

    def body():
        with dosync(read_only=True):
            opened.set()
            assert close.wait(SECONDS)
            seen.append(cell.get())

    thread = threading.Thread(target=body)
    thread.start()
    assert opened.wait(SECONDS)

    def closed():
        close.set()
        thread.join(SECONDS)
        return seen[0]

    return closed


@pytest.mark.parametrize("calls", [1, 2, 3])
def test_adding_keeps_what_a_snapshot_needs(calls):
    number = AtomicInteger()
    for _ in range(3):
        number.increment_and_get()
    closed = open_snapshot(number, threading.Event())
    for _ in range(calls):
        number.increment_and_get()
    assert closed() == 3
    assert number.get() == 3 + calls


def test_adding_drops_what_no_snapshot_needs_any_more():
    number = AtomicInteger()
    number.increment_and_get()
    first = open_snapshot(number, threading.Event())
    number.increment_and_get()
    second = open_snapshot(number, threading.Event())
    number.increment_and_get()
    number.increment_and_get()
    assert count(number) == 2
    assert second() == 2
    number.increment_and_get()
    assert count(number) == 1
    number.increment_and_get()
    assert first() == 1
    number.increment_and_get()
    assert count(number) == 0
    assert number._newest.older is None


def test_a_thread_that_died_in_its_step_does_not_hold_up_the_clock():
    number = AtomicInteger()
    number.increment_and_get()
    left = AtomicInteger()._newest

    def die():
        for turn in turns:
            left.number = clock.step = turn
            my_record().pending = left
            clock.done = turn
            if FREE:
                release()
            break

    elsewhere(die)
    elsewhere(my_record)  # which drops the records of threads that have ended
    assert read_point() == left.number
    assert number.increment_and_get() == 2
    assert number._newest.number > left.number
    assert read_point() == number._newest.number


def test_adding_does_not_look_at_what_was_never_committed():
    number = AtomicInteger()
    number.set(1)
    undecided = pending("never")
    undecided.older, undecided.owner = number._newest, NOBODY
    number._newest = undecided
    assert number.add_and_get(1) == 2
