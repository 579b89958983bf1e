"""retry, check and wait_for: a thread sleeps until what it has read is changed."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from _thread import allocate_lock
from functools import partial

import pytest
from helpers import (
    CELLS,
    FORMS,
    PATIENCE,
    Attempts,
    asleep,
    blocked,
    commit,
    elsewhere,
    put,
    start,
    transact,
    until,
)
from interrupts import (
    Interrupted,
    Tracer,
    preempted_at_each_opcode,
    preempted_at_each_point,
    within,
)

from atomos import (
    Atom,
    Ref,
    TransactionLocal,
    atomically,
    check,
    dosync,
    retry,
)
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
from atomos.errors import (
    NoTransactionError,
    RetryError,
    TransactionAborted,
    TransactionTimeout,
)
from atomos.stm._gate import SLICE, pass_gate
from atomos.stm._solo import exchange
from atomos.stm._turn import clock
from atomos.stm._wait import Sleeper, _enter, _leave, _put

#: The forms that can be run again.
AGAIN = ("decorator", "function", "loop")


def positive(cell):
    """Wait until a cell is above 0; return it."""
    value = cell.deref()
    check(value > 0)
    return value


# Who changes a cell, in each way there is

CHANGES = {
    "one": (Ref, lambda cell: commit(cell, 1)),
    "two": (Ref, lambda cell: commit(cell, 1, Ref(0), 1)),
    "second of two": (Ref, lambda cell: commit(Ref(0), 1, cell, 1)),
    "three": (Ref, lambda cell: commit(Ref(0), 1, cell, 1, Ref(0), 1)),
    "read too": (Ref, lambda cell: atomically(lambda: cell.set(Ref(1).deref()))),
    "commute": (Ref, lambda cell: atomically(cell.commute, lambda n: n + 1)),
    "loop": (Ref, lambda cell: transact("loop", lambda: cell.set(1))),
    "block": (Ref, lambda cell: transact("block", lambda: cell.set(1))),
    "swap": (Atom, lambda cell: cell.swap(lambda n: n + 1)),
    "reset": (Atom, lambda cell: cell.reset(1)),
    "compare": (Atom, lambda cell: cell.compare_and_set(0, 1)),
    "reset in one": (Atom, lambda cell: atomically(cell.reset, 1)),
}
ADDS = {
    "add": (AtomicInteger, lambda cell: cell.add_and_get(1)),
    "set": (AtomicInteger, lambda cell: cell.set(1)),
    "adder": (LongAdder, lambda cell: cell.add(1)),
    "adder in one": (LongAdder, lambda cell: atomically(cell.add, 1)),
    "accumulator": (
        lambda n: LongAccumulator(max, n),
        lambda cell: cell.accumulate(1),
    ),
}
ALL = {**CHANGES, **ADDS}


def made(way):
    """Return a cell for a way of changing it, and the change."""
    kind, change = ALL[way]
    cell = kind() if kind is LongAdder else kind(0)
    return cell, lambda: change(cell)


@pytest.mark.parametrize("way", ALL)
def test_each_kind_of_change_wakes(way):
    cell, change = made(way)
    job = start(cell.wait_for, lambda n: n > 0)
    asleep(cell)
    change()
    assert job.join() == 1
    assert cell._sleepers is None, "so it is fast again"


@pytest.mark.parametrize("form", AGAIN)
@pytest.mark.parametrize("way", CHANGES)
def test_each_form_can_wait(way, form):
    cell, change = made(way)
    runs = []

    def body():
        runs.append(cell.deref())
        return positive(cell)

    job = start(transact, form, body)
    asleep(cell)
    change()
    assert job.join() == 1
    assert runs == [0, 1]


# No wake-up is lost


@pytest.mark.parametrize("way", ALL)
def test_a_change_at_each_point_between_deciding_to_sleep_and_sleeping(way):
    """If it comes while the thread is awake, the thread does not sleep for ever."""
    points = 0
    while points < 400:
        points += 1
        if _one_point(points, way) is None:
            break
    assert points > 20


def sleeps(job):
    """Wait until the thread of a job sleeps, or has ended; whether it sleeps."""
    while job.thread.is_alive():
        frame = sys._current_frames().get(job.thread.ident)
        if frame is not None and frame.f_code.co_name == "pass_gate":
            return True
        job.thread.join(0.0005)
    return False


def _comes(cell, waiting):
    """Go to sleep in another thread; go on when it sleeps."""
    waiting.append(start(cell.wait_for, lambda n: n > 0))
    sleeps(waiting[-1])


def _goes(cell):
    """Enter, and leave at once."""
    with pytest.raises(TransactionTimeout):
        cell.wait_for(lambda n: n > 0, timeout=0)


def test_a_thread_that_goes_to_sleep_while_another_one_leaves():
    def scenario():
        cell, waiting = Ref(0), []

        def check_it(*_):
            commit(cell, 1)
            assert waiting[0].join() == 1
            assert cell._sleepers is None

        return lambda: _goes(cell), lambda: _comes(cell, waiting), check_it

    assert elsewhere(preempted_at_each_point, scenario) > 20


def test_a_thread_that_leaves_while_another_one_goes_to_sleep():
    """Without the GIL that may be at each opcode."""

    def scenario():
        cell, sleeper = Ref(0), Sleeper()
        first = Sleeper()
        _enter(cell, first)

        def check_it(*_):
            commit(cell, 1)
            assert sleeper.gate.acquire(timeout=0)
            assert cell._sleepers is None

        return lambda: _enter(cell, sleeper), lambda: _leave(cell, first), check_it

    assert elsewhere(preempted_at_each_opcode, scenario, within(_enter)) > 10


def test_all_who_sleep_are_woken():
    cell = Ref(0)
    jobs = [start(cell.wait_for, lambda n: n > 0) for _ in range(3)]
    until(lambda: cell._sleepers and len(cell._sleepers) == 3)
    commit(cell, 1)
    assert [job.join() for job in jobs] == [1, 1, 1]


def _one_point(n, way):
    """Change the cell at the n-th point of a thread that waits; return where."""
    cell, change = made(way)
    changed = threading.Lock()

    def change_once():
        if changed.acquire(blocking=False):
            change()

    tracer = Tracer(n, lambda: elsewhere(change_once))
    job = start(tracer.run, lambda: cell.wait_for(lambda n: n > 0))
    if sleeps(job):
        change_once()
    assert job.join() == 1, tracer.where
    assert cell._sleepers is None
    return tracer.where


@pytest.mark.parametrize("way", ALL)
def test_a_thread_that_goes_to_sleep_at_each_point_of_a_change(way):
    def scenario():
        cell, change = made(way)
        waiting = []

        def sleep():
            waiting.append(start(cell.wait_for, lambda n: n > 0))
            sleeps(waiting[0])

        def check_it(*_):
            assert waiting[0].join() == 1
            assert cell._sleepers is None

        return change, sleep, check_it

    assert elsewhere(preempted_at_each_point, scenario) > 1


@pytest.mark.parametrize("way", ALL)
def test_an_exception_from_outside_at_each_point_of_a_change(way, quiet_hook):
    """Either nothing was changed, or who sleeps is woken."""
    n = 0
    while True:
        n += 1
        cell, change = made(way)
        job = start(cell.wait_for, lambda n: n > 0)
        blocked(job)

        def interrupt():
            raise Interrupted

        tracer = Tracer(n, interrupt)
        try:
            tracer.run(change)
        except Interrupted:
            pass
        if (cell.sum() if hasattr(cell, "sum") else _value(cell)) == 0:
            change()
        assert job.join() == 1, tracer.where
        if tracer.where is None:
            break
    assert n > 2


def _value(cell):
    return cell.deref() if hasattr(cell, "deref") else cell.get()


SHORTEST = {
    "swap": lambda cell, n: cell.swap(lambda before: before + 1),
    "add": lambda cell, n: cell.add_and_get(1),
    "reset": lambda cell, n: exchange(cell, n),
}


@pytest.mark.parametrize(
    ("kind", "way"), [(Atom, "swap"), (Atom, "reset"), (AtomicInteger, "add")]
)
def test_a_change_by_the_shortest_way(kind, way):
    """Who sleeps has no snapshot open, which would have kept others off it."""
    cell, written, runs = kind(0), Ref(0), []

    @dosync
    def body():
        runs.append(None)
        written.set(written.deref() + 1)
        check(_value(cell) == 2)

    job = start(body)
    blocked(job)
    Atom(0).swap(lambda n: n + 1)  # from here on a snapshot is known to be none
    SHORTEST[way](cell, 1)
    until(lambda: len(runs) == 2)
    blocked(job)
    assert not clock.observed
    assert cell._newest.number >= clock.fresh
    SHORTEST[way](cell, 2)
    job.join()


@pytest.mark.parametrize("first", ["enters", "leaves"])
def test_one_goes_while_another_one_comes(first):
    """Whoever has come is found by commits."""

    def scenario():
        cell, one, two = Ref(0), Sleeper(), Sleeper()
        cell._sleepers = {one: None}
        todo = [lambda: _enter(cell, two), lambda: _leave(cell, one)]
        if first == "leaves":
            todo.reverse()

        def check_it(*_):
            assert cell._sleepers == {two: None}

        return *todo, check_it

    when = within(_enter, _leave, _put)
    assert preempted_at_each_opcode(scenario, when) > 20


def test_many_threads_that_wait_for_each_other(often):
    """Each passes a number on that the one before has given it."""
    cells = [Ref(0) for _ in range(8)]

    def pass_on(me):
        for turn in range(1, 60):
            cells[me].wait_for(partial(int.__eq__, turn))
            if me + 1 < len(cells):
                commit(cells[me + 1], turn)
            else:
                commit(cells[0], turn + 1)

    commit(cells[0], 1)
    jobs = [start(pass_on, me) for me in range(len(cells))]
    for job in jobs:
        job.join()
    assert cells[0].deref() == 60


# What it holds, and costs, while it sleeps


@pytest.mark.parametrize("form", AGAIN)
def test_one_that_runs_as_a_plain_block_lets_go_before_it_sleeps(form):
    taken, losing, flag = Ref(0), Ref(0), Ref(False)
    attempts = []

    def body():
        attempts.append(len(attempts))
        seen = losing.deref()
        taken.set(len(attempts))
        if len(attempts) <= 8:
            elsewhere(commit, losing, seen + 1)  # it loses
        check(flag.deref())

    job = start(transact, form, body)
    asleep(flag)
    elsewhere(commit, taken, 100, losing, 100)  # nobody holds them
    asleep(flag)
    commit(flag, True)
    job.join()
    assert taken.deref() == len(attempts)


@pytest.mark.parametrize("form", AGAIN)
def test_an_escalated_attempt_that_waits(form):
    """It has lost 8 times, holds what it touches, and then calls retry()."""
    taken, losing, flag = Ref(0), Ref(0), Ref(False)
    attempts = []

    def body():
        attempts.append(None)
        taken.set(losing.deref())
        if len(attempts) <= 8:
            elsewhere(commit, losing, len(attempts))
            return
        check(flag.deref())

    job = start(transact, form, body)
    asleep(flag)
    assert len(attempts) == 9
    elsewhere(commit, taken, 100)
    transact("block", lambda: taken.set(101))
    commit(flag, True)
    job.join()
    assert taken.deref() == 8


def test_who_sleeps_keeps_no_old_versions():
    flag, ref = Ref(False), Ref(0)

    @dosync
    def wait_for_it():
        ref.deref()
        check(flag.deref())

    job = start(wait_for_it)
    asleep(flag)
    for n in range(5):
        before = list(flag._sleepers)
        commit(ref, n)
        # It wakes, runs, and sleeps again: not what is left of the sleep before.
        until(lambda old=before: list(flag._sleepers or ()) not in ([], old))
    assert ref.history_count == 0
    commit(flag, True)
    job.join()


def test_who_sleeps_keeps_no_values_of_its_own():
    flag, ref, local = Ref(0), Ref(0), TransactionLocal(lambda: Ref(0))
    seen = []

    def inner():
        ref.set(1)
        positive(flag)

    @dosync
    def wait_for_it():
        seen.append(weakref.ref(local.get()))
        ref.set(Ref(0))
        seen.append(weakref.ref(ref.deref()))
        atomically(inner)

    job = start(wait_for_it)
    asleep(flag)
    gc.collect()
    assert [one() for one in seen] == [None, None]
    commit(flag, 1)
    job.join()


def test_who_sleeps_uses_no_processor():
    flag = Ref(False)

    def wait_for_it():
        before = time.thread_time()
        atomically(lambda: check(flag.deref()))
        return time.thread_time() - before

    job = start(wait_for_it)
    asleep(flag)
    job.thread.join(0.3)  # a while, of which it may use nothing
    commit(flag, True)
    assert job.join() < 0.1


def test_it_runs_once_for_each_change():
    flag, other, runs = Ref(0), Ref(0), []

    @dosync
    def wait_for_it():
        runs.append(None)
        check(flag.deref() == 3)

    job = start(wait_for_it)
    for n in (1, 2, 3):
        until(lambda n=n: len(runs) == n)
        blocked(job)
        commit(other, n)  # it has not read that
        commit(flag, n)
    job.join()
    assert len(runs) == 4


# How it ends


class Gate:
    """Opens at the third try."""

    def __init__(self):
        self.tries = []

    def acquire(self, timeout=-1):
        self.tries.append(timeout)
        return len(self.tries) == 3


@pytest.mark.parametrize("seconds", [None, 1000])
def test_the_main_thread_looks_for_signals_in_between(seconds):
    """One that comes just before it sleeps would not wake it."""
    gate = Gate()
    assert pass_gate(gate, seconds)
    assert gate.tries == [SLICE] * 3


@pytest.mark.parametrize(("seconds", "expected"), [(None, -1), (1000, 1000)])
def test_other_threads_sleep_once(seconds, expected):
    gate = Gate()
    assert not elsewhere(pass_gate, gate, seconds)
    assert gate.tries == [expected]


def test_the_time_at_a_gate_is_over():
    gate = allocate_lock()
    gate.acquire()
    assert not pass_gate(gate, 0)
    assert not pass_gate(gate, 0.001)
    gate.release()
    assert pass_gate(gate, 0)


CTRL_C = """
import sys, threading
from atomos import Ref, atomically, check
flag = Ref(False)
def tell():
    while not flag._sleepers:
        pass
    print("asleep", flush=True)
threading.Thread(target=tell).start()
try:
    atomically(lambda: check(flag.deref()))
except KeyboardInterrupt:
    print(flag._sleepers)
    atomically(flag.set, True)
    print(flag.deref())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to a process")
def test_ctrl_c_wakes():
    process = subprocess.Popen(
        [sys.executable, "-c", CTRL_C],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout.readline() == "asleep\n"
        process.send_signal(signal.SIGINT)
        out, told = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    assert (out, told) == ("None\nTrue\n", "")


@pytest.mark.parametrize("form", AGAIN)
def test_timeout_bounds_the_sleep(form):
    flag = Ref(False, name="flag")
    with pytest.raises(TransactionTimeout, match="waiting for a change of Ref 'flag'"):
        transact(form, lambda: check(flag.deref()), timeout=0.05)
    assert flag._sleepers is None
    commit(flag, True)
    transact(form, lambda: check(flag.deref()), timeout=0.05)


def test_timeout_bounds_waiting_and_running_again_together():
    """Each change starts a new sleep, but no new timeout."""
    flag, runs = Ref(0), []

    def body():
        runs.append(None)
        check(flag.deref() < 0)

    job = start(lambda: transact("function", body, timeout=0.3))
    number = 0
    while job.thread.is_alive():
        number += 1
        commit(flag, number)
        job.thread.join(0.01)
    with pytest.raises(TransactionTimeout):
        job.join()


def test_a_message_names_five_refs_at_most():
    refs = [Ref(0, name=f"n{i}") for i in range(8)]
    with pytest.raises(TransactionTimeout) as caught:
        transact("decorator", lambda: check(sum(r.deref() for r in refs)), timeout=0)
    assert "'n4', 3 more" in str(caught.value)
    assert "n5" not in str(caught.value)


def test_an_infinite_timeout():
    flag = Ref(0)
    never = float("inf")
    job = start(lambda: transact("decorator", lambda: positive(flag), timeout=never))
    asleep(flag)
    commit(flag, 1)
    assert job.join() == 1


def test_having_waited_is_no_lost_attempt():
    flag = Ref(0)

    @dosync(max_attempts=1)
    def body():
        check(flag.deref() == 12)

    job = start(body)
    for n in range(1, 13):
        blocked(job)
        commit(flag, n)
        until(lambda: not job.thread.is_alive() or flag._sleepers)
    job.join()


def test_max_attempts_counts_the_lost_ones():
    flag, other, tries = Ref(0), Ref(0), Attempts()

    @dosync(max_attempts=1)
    def body():
        tries.begin()
        check(flag.deref())
        other.set(other.deref() + 1)
        elsewhere(commit, other, 50)

    job = start(body)
    asleep(flag)
    commit(flag, 1)
    with pytest.raises(TransactionAborted, match="lost 1 attempts"):
        job.join()
    assert tries.count == 2


# Where it cannot wait


@pytest.mark.parametrize("form", FORMS)
def test_one_that_has_read_nothing_says_so(form):
    ref = Ref(0)

    def body():
        if form != "block":
            ref.set(1)
        retry()

    with pytest.raises(RetryError, match="before it has read anything"):
        transact(form, body)
    assert ref.deref() == 0


@pytest.mark.parametrize("kind", CELLS)
def test_a_plain_block_says_to_use_dosync(kind):
    cell = CELLS[kind](0)

    def body():
        put(cell, 1)
        check(cell.deref() > 5)

    with pytest.raises(RetryError, match="use @dosync"):
        transact("block", body)
    assert cell.deref() == 0
    with pytest.raises(RetryError, match="use @dosync"), dosync():
        cell.wait_for(lambda n: n > 5)


@pytest.mark.parametrize("form", AGAIN)
def test_a_plain_block_inside_of_another_one_may_wait(form):
    flag, ref = Ref(0), Ref(0)

    def body():
        with dosync():
            ref.set(1)
            check(flag.deref())

    job = start(transact, form, body)
    asleep(flag)
    assert ref.deref() == 0
    commit(flag, 1)
    job.join()
    assert ref.deref() == 1


def test_outside_of_a_transaction():
    for call in (retry, lambda: check(False)):
        with pytest.raises(NoTransactionError, match="wait_for"):
            call()
    check(True)


@pytest.mark.parametrize("form", AGAIN)
def test_one_whose_body_swallows_the_signal_still_waits(form):
    flag, ref = Ref(0), Ref(0)

    def body():
        ref.set(ref.deref() + 1)
        try:
            check(flag.deref())
        except BaseException:
            pass

    job = start(transact, form, body)
    asleep(flag)
    assert ref.deref() == 0
    commit(flag, 1)
    job.join()
    assert ref.deref() == 1


@pytest.mark.parametrize("options", [{"read_only": True}, {"isolation": "snapshot"}])
@pytest.mark.parametrize("form", AGAIN)
def test_it_waits_in_each_kind_of_transaction(form, options):
    flag = Ref(0)
    job = start(lambda: transact(form, lambda: positive(flag), **options))
    asleep(flag)
    commit(flag, 3)
    assert job.join() == 3


@pytest.mark.parametrize("form", AGAIN)
def test_what_it_has_also_written_wakes(form):
    stock = Ref(0)

    def take():
        check(stock.alter(lambda n: n - 1) >= 0)

    job = start(transact, form, take)
    asleep(stock)
    assert stock.deref() == 0
    commit(stock, 3)
    job.join()
    assert stock.deref() == 2


def test_what_was_read_in_a_part_that_failed_wakes_too():
    flag, other = Ref(0), Ref(0)

    @dosync
    def part():
        if flag.deref() == 0:
            raise LookupError

    @dosync
    def body():
        try:
            part()
        except LookupError:
            check(other.deref())

    for cell in (flag, other):
        job = start(body)
        asleep(flag, other)
        commit(cell, 1)
        job.join()
        commit(cell, 0)


# wait_for


SATISFIED = [
    (Ref(3), 3),
    (Atom(3), 3),
    (AtomicReference(3), 3),
    (AtomicInteger(3), 3),
    (AtomicLong(3), 3),
    (AtomicFloat(3.5), 3.5),
    (AtomicBoolean(True), True),
    (AtomicStampedReference("a", 3), ("a", 3)),
    (AtomicMarkableReference("a", True), ("a", True)),
    (LongAccumulator(max, 3), 3),
]


@pytest.mark.parametrize(
    ("cell", "value"), SATISFIED, ids=[type(cell).__name__ for cell, _ in SATISFIED]
)
def test_wait_for(cell, value):
    assert cell.wait_for(lambda found: found == value) == value
    with pytest.raises(TransactionTimeout, match=r"wait_for\(\)"):
        cell.wait_for(lambda found: found != value, timeout=0.01)
    with pytest.raises(TypeError, match="wait_for"):
        cell.wait_for(3)
    with pytest.raises(ValueError, match="timeout"):
        cell.wait_for(bool, timeout=-1)
    with pytest.raises(ZeroDivisionError):
        cell.wait_for(lambda found: 1 / 0)


@pytest.mark.parametrize("array", [AtomicReferenceArray, AtomicIntegerArray])
def test_wait_for_an_element(array):
    numbers = array([0, 0])
    job = start(numbers.wait_for, 1, lambda n: n > 0)
    asleep(numbers._cells[1])
    numbers.set(0, 5)
    numbers.set(1, 6)
    assert job.join() == 6
    with pytest.raises(IndexError):
        numbers.wait_for(2, bool)


@pytest.mark.parametrize("form", AGAIN)
def test_wait_for_inside_of_a_transaction_runs_it_again(form):
    flag, runs = Atom(0), []

    def body():
        runs.append(None)
        return flag.wait_for(lambda n: n > 0)

    job = start(transact, form, body)
    asleep(flag)
    flag.reset(4)
    assert job.join() == 4
    assert len(runs) == 2


def test_a_predicate_may_read_others_and_waits_for_them_too():
    ref, limit = Ref(3), Ref(5)
    job = start(ref.wait_for, lambda n: n > limit.deref())
    asleep(ref, limit)
    commit(limit, 2)
    assert job.join() == 3


# What is left behind


def test_a_sleeper_that_was_cut_short_goes_at_the_next_commit():
    atom = Atom(0)
    atom._sleepers = {Sleeper(): None}
    atom.swap(lambda n: n + 1)
    assert atom._sleepers is None


def test_two_sleepers_and_one_that_goes():
    flag = Ref(0)
    patient = start(positive_of, flag)
    asleep(flag)
    (stays,) = flag._sleepers
    with pytest.raises(TransactionTimeout):
        transact("function", lambda: positive(flag), timeout=0.05)
    assert list(flag._sleepers) == [stays]
    commit(flag, 1)
    assert patient.join() == 1


def positive_of(cell):
    return atomically(positive, cell)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_fork_while_another_thread_sleeps():
    flag = Ref(0)
    job = start(positive_of, flag)
    asleep(flag)
    child = os.fork()
    if child == 0:
        commit(flag, 5)
        left = flag._sleepers is None and positive_of(flag) == 5
        os._exit(0 if left else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert job.thread.is_alive()
    commit(flag, 1)
    assert job.join() == 1


def test_a_thread_that_waits_twice_at_once_in_two_threads(often):
    """Entering and leaving the same cell, while others change it."""
    number = AtomicInteger(0)
    stop = threading.Event()

    def wait_up():
        seen = 0
        while seen < 300:
            seen = number.wait_for(lambda n, seen=seen: n > seen)

    def count():
        while not stop.is_set():
            number.increment_and_get()

    waiting = [start(wait_up) for _ in range(3)]
    counting = start(count)
    for job in waiting:
        job.join()
    stop.set()
    counting.join()
    assert number._sleepers is None
