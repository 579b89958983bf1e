"""Guarantee 6: nobody starves, nothing deadlocks, and who gives up says why."""

from __future__ import annotations

import pickle
import random
import threading
from _thread import allocate_lock
from contextvars import Context
from functools import partial

import pytest
from helpers import (
    CELLS,
    FORMS,
    ISOLATIONS,
    PATIENCE,
    RERUN_FORMS,
    Attempts,
    Parked,
    blocked,
    change,
    commit,
    elsewhere,
    put,
    run_threads,
    start,
    transact,
    until,
    wait,
)
from interrupts import stopped_once, within

from atomos import Atom, Ref, atomically, dosync
from atomos.errors import (
    AtomosError,
    TransactionAborted,
    TransactionTimeout,
    WouldDeadlockError,
)
from atomos.stm import _status
from atomos.stm._commit import _commit_freely

#: Attempts that may be lost; the next one holds what it touches.
MAY_LOSE = 8


@pytest.mark.parametrize("isolation", ISOLATIONS)
@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("form", RERUN_FORMS)
def test_one_that_always_loses_wins_at_last(form, kind, isolation):
    cell, tries, others = CELLS[kind](0), Attempts(), []

    def body():
        tries.begin()
        seen = cell.deref()
        others.append(start(commit, cell, tries.count * 100))
        if tries.count <= MAY_LOSE:
            others[-1].join()
        else:
            blocked(others[-1])
        put(cell, seen + 1)
        return seen + 1

    won = transact(form, body, isolation=isolation)
    for other in others:
        other.join()
    assert tries.count == MAY_LOSE + 1
    assert won == MAY_LOSE * 100 + 1
    assert cell.deref() == (MAY_LOSE + 1) * 100


def test_one_that_loses_by_what_it_reads_only():
    """Write skew's kind of loss, again and again."""
    x, y, tries, others = Ref(0), Ref(0), Attempts(), []

    @dosync
    def body():
        tries.begin()
        y.set(x.deref())
        others.append(start(commit, x, tries.count))
        if tries.count <= MAY_LOSE:
            others[-1].join()

    body()
    for other in others:
        other.join()
    assert tries.count == MAY_LOSE + 1
    assert y.deref() == MAY_LOSE


def test_a_commute_that_is_always_outdated_wins_at_last():
    """Each time it is computed, somebody commits the ref: then it takes its turn."""
    ref, calls = Ref(0), []

    def fn(value):
        calls.append(value)
        if len(calls) <= 4:
            elsewhere(commit, ref, value + 100)
        return value + 1

    atomically(ref.commute, fn)
    assert ref.deref() == 401
    assert len(calls) == 5


@pytest.mark.parametrize("kind", CELLS)
def test_a_long_transaction_among_many_short_ones(kind, often):
    cells = [CELLS[kind](0) for _ in range(20)]
    tries, done = Attempts(), []

    def short(seed):
        rng = random.Random(seed)
        while not done:
            atomically(lambda: change(rng.choice(cells), lambda n: n + 1))

    @dosync
    def long():
        tries.begin()
        for cell in cells:
            change(cell, lambda n: n + 1000)

    def run():
        long()
        done.append(True)

    run_threads(lambda: short(1), lambda: short(2), run)
    assert all(cell.deref() >= 1000 for cell in cells)
    assert tries.count <= MAY_LOSE + 1


# max_attempts and timeout


@pytest.mark.parametrize("limit", [1, 3, MAY_LOSE + 1])
@pytest.mark.parametrize("form", ["decorator", "loop"])
def test_max_attempts(form, limit):
    ref, tries, other = Ref(0, name="counter"), Attempts(), Ref(0)

    def body():
        tries.begin()
        other.set("never")
        seen = ref.deref()
        if tries.count <= MAY_LOSE:
            elsewhere(commit, ref, tries.count)
        ref.set(seen)

    if limit > MAY_LOSE:
        transact(form, body, max_attempts=limit)
        assert tries.count == limit
        return
    with pytest.raises(TransactionAborted, match="counter") as caught:
        transact(form, body, max_attempts=limit, name="the job")
    error = caught.value
    assert not isinstance(error, TransactionTimeout)
    assert isinstance(error, AtomosError)
    assert error.attempts == limit == tries.count
    assert "counter" in error.lost_to
    assert "the job" in str(error)
    assert other.deref() == 0
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.attempts, copy.lost_to) == (error.attempts, error.lost_to)
    elsewhere(commit, ref, 1, other, 1)


@pytest.mark.parametrize("form", ["decorator", "loop"])
def test_a_timeout_of_zero_allows_one_attempt(form):
    ref, tries = Ref(0, name="counter"), Attempts()

    def body():
        tries.begin()
        seen = ref.deref()
        tries.once(commit, ref, 5)
        ref.set(seen + 1)

    with pytest.raises(TransactionTimeout, match="counter") as caught:
        transact(form, body, timeout=0)
    assert tries.count == 1 == caught.value.attempts
    assert "counter" in caught.value.lost_to
    assert isinstance(caught.value, TimeoutError)
    assert isinstance(caught.value, TransactionAborted)
    assert ref.deref() == 5
    tries.count = 1
    transact(form, body, timeout=0)
    assert ref.deref() == 6


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("form", ["decorator", "loop", "block"])
def test_a_timeout_bounds_the_wait_for_a_plain_block(form, kind):
    cell, other = CELLS[kind](0, name="busy"), Ref(0)

    def hold(park):
        with dosync():
            put(cell, 1)
            park()

    block = Parked(hold)
    try:
        with pytest.raises(TransactionTimeout):
            transact(form, lambda: (put(other, 1), put(cell, 2)), timeout=0.01)
        assert elsewhere(other.deref) == 0
        elsewhere(commit, other, 2)
    finally:
        block.finish()
    assert cell.deref() == 1
    transact("block", lambda: put(cell, 3))
    assert cell.deref() == 3


@pytest.mark.parametrize("form", ["decorator", "loop"])
def test_the_timeout_says_what_it_waited_for(form):
    cell = Ref(0, name="busy")

    def hold(park):
        with dosync(name="the holder"):
            cell.set(1)
            park()

    block = Parked(hold)
    try:
        with pytest.raises(TransactionTimeout, match=r"busy.*the holder"):
            transact(form, lambda: cell.set(2), timeout=0)
    finally:
        block.finish()


def test_who_left_the_queue_does_not_hold_up_those_behind():
    cell = Ref([])

    def append(name):
        cell.alter(lambda names: [*names, name])

    def hold(park):
        with dosync():
            append("first")
            park()

    block = Parked(hold)
    with pytest.raises(TransactionTimeout):
        with dosync(timeout=0.01):
            append("never")
    behind = start(transact, "block", lambda: append("behind"))
    blocked(behind)
    block.finish()
    behind.join()
    assert cell.deref() == ["first", "behind"]


@pytest.mark.parametrize("left", [1, 3])
def test_who_left_the_queue_lets_nobody_pass_those_ahead(left):
    """Whoever comes behind one that gave up waits for those before that one."""
    held, free, running = Ref(0), Ref(0), []

    def hold(park):
        with dosync():
            held.set(1)
            running.append("first")
            park()
            running.remove("first")

    def follow():
        with dosync():
            free.set(list(running))

    block = Parked(hold)
    try:
        for _ in range(left):
            with pytest.raises(TransactionTimeout):
                with dosync(timeout=0):
                    pass
        behind = start(follow)
        blocked(behind)
    finally:
        block.finish()
    behind.join()
    assert free.deref() == []


# Waking


class Gate:
    """The lock at which a thread sleeps that waits, but without its rechecks."""

    asleep = 0

    def __init__(self):
        self._lock = allocate_lock()
        self.locked, self.release = self._lock.locked, self._lock.release

    def acquire(self, timeout=None):
        if timeout is None:
            return self._lock.acquire()
        Gate.asleep += 1
        assert self._lock.acquire(timeout=PATIENCE / 3), "nobody woke it"
        return True


@pytest.fixture
def gate(monkeypatch):
    """`gate.asleep`: how often somebody has gone to sleep, to be woken for sure."""
    monkeypatch.setattr(Gate, "asleep", 0)
    monkeypatch.setattr(_status, "allocate_lock", Gate)
    return Gate


def sleepers(gate, *fns):
    """Start these one after the other; each of them goes to sleep."""
    jobs = []
    for fn in fns:
        before = gate.asleep
        jobs.append(start(fn))
        until(lambda before=before: gate.asleep > before)
    return jobs


@pytest.mark.parametrize("ending", ["commits", "raises"])
@pytest.mark.parametrize("form", FORMS)
def test_who_waits_is_woken_when_the_holder_ends(form, ending, gate):
    """In the queue, at a commit, and as an atom alone."""
    atom, tries, jobs = Atom(0), Attempts(), []

    def add():
        atom.swap(lambda n: n + 1)

    def body():
        tries.begin()
        atom.deref()
        if form != "block" and tries.count <= MAY_LOSE:
            elsewhere(commit, atom, 0)
        else:
            block = partial(transact, "block", add)
            jobs.extend(sleepers(gate, block, partial(atomically, add), add))
            if ending == "raises":
                raise KeyError
        atom.reset(10)

    if ending == "raises":
        with pytest.raises(KeyError):
            transact(form, body)
    else:
        transact(form, body)
    for job in jobs:
        job.join()
    assert atom.deref() == (13 if ending == "commits" else 3)


def test_who_waits_is_woken_before_a_displaced_value_is_let_go(gate):
    """Its finalizer is code of the user, and may take its time."""
    free, jobs = Ref(0), []

    class Value:
        def __del__(self):
            jobs[0].thread.join(PATIENCE / 6)
            ended.append(not jobs[0].thread.is_alive())

    ref, ended = Ref(Value()), []
    with dosync():  # which has not ended yet when its commit lets go of it
        ref.set(None)
        jobs += sleepers(gate, lambda: transact("block", lambda: free.set(1)))
    jobs[0].join()
    assert ended == [True]


@pytest.mark.parametrize("kinds", [(a, b) for a in CELLS for b in CELLS])
def test_a_commit_that_is_driven_back_wakes_who_waits_for_it(kinds, gate):
    """It has taken x when it finds y held; the block that holds y then wants x."""
    x, y = (CELLS[kind](0) for kind in kinds)
    ready, go = threading.Event(), threading.Event()

    def block():
        with dosync():
            put(y, 1)
            ready.set()
            wait(go)
            put(x, 1)

    def all_three():
        commit(x, 2, y, 2, Ref(0), 2)

    def after_the_turn(frame):
        return frame.f_code is _commit_freely.__code__ and x._holder is not None

    def act():
        go.set()
        until(lambda: gate.asleep)

    other = start(block)
    wait(ready)
    # The block holds y only, so this is the commit: it holds x now.
    stopped_once(all_three, after_the_turn, act)
    other.join()
    assert (x.deref(), y.deref()) == (2, 2)


# No deadlock


@pytest.mark.parametrize("kinds", [(a, b) for a in CELLS for b in CELLS])
def test_two_plain_blocks_in_opposite_order(kinds):
    x, y = (CELLS[kind](0) for kind in kinds)

    def add(cells):
        for cell in cells:
            change(cell, lambda n: n + 1)

    with dosync():
        add([x])
        other = start(transact, "block", lambda: add([y, x]))
        blocked(other)
        add([y])
    other.join()
    assert (x.deref(), y.deref()) == (2, 2)


@pytest.mark.parametrize("form", RERUN_FORMS)
def test_a_block_and_a_committer_in_opposite_order(form):
    x, y = Ref(0), Ref(0)

    def add(cells):
        for cell in cells:
            change(cell, lambda n: n + 1)

    with dosync():
        add([x])
        other = start(transact, form, lambda: add([y, x]))
        blocked(other)
        add([y])  # the committer had it, and let go of it to wait for x
    other.join()
    assert (x.deref(), y.deref()) == (2, 2)


def test_plain_blocks_run_in_the_order_in_which_they_came():
    order, jobs = Ref([]), []

    def block(n):
        with dosync():
            order.alter(lambda seen: [*seen, n])

    with dosync():
        order.deref()
        for n in range(8):
            jobs.append(start(block, n))
            blocked(jobs[-1])
    for job in jobs:
        job.join()
    assert order.deref() == list(range(8))


def test_plain_blocks_do_not_overlap(often):
    inside, overlaps = [], []
    refs = [Ref(0) for _ in range(4)]

    def work(n):
        for _ in range(25):
            with dosync():
                inside.append(n)
                overlaps.append(len(inside))
                refs[n].alter(lambda n: n + 1)
                inside.pop()

    run_threads(*[lambda n=n: work(n) for n in range(4)])
    assert set(overlaps) == {1}
    assert [ref.deref() for ref in refs] == [25] * 4


def test_eight_threads_of_all_kinds_all_end(often):
    cells = [CELLS[kind](0) for kind in ("ref", "atom") * 3]
    rounds = 40

    def work(seed):
        rng = random.Random(seed)

        def body():
            for cell in rng.sample(cells, 3):
                if rng.random() < 0.3 and isinstance(cell, Ref):
                    cell.commute(lambda n: n + 1)
                else:
                    change(cell, lambda n: n + 1)

        for _ in range(rounds):
            transact(rng.choice(FORMS), body)

    def swaps():
        for cell in cells * 6:
            if isinstance(cell, Atom):
                cell.swap(lambda n: n + 1)

    run_threads(*[lambda n=n: work(n) for n in range(7)], swaps)
    assert sum(cell.deref() for cell in cells) == 7 * rounds * 3 + 18


@pytest.mark.parametrize("form", RERUN_FORMS)
@pytest.mark.parametrize("total", [1, 2, 3])
def test_what_is_written_without_reading_is_not_lost_to_others(total, form):
    """It waits for who holds it, and then lies on top of what that one has written."""
    refs, tries = [Ref(0) for _ in range(total)], Attempts()

    def put_all(value):
        for ref in refs:
            ref.set(value)

    def hold(park):
        with dosync():
            put_all(1)
            park()

    def write():
        tries.begin()
        put_all(2)

    block = Parked(hold)
    job = start(transact, form, write)
    blocked(job)
    block.finish()
    job.join()
    assert [ref.deref() for ref in refs] == [2] * total
    assert tries.count == 1


@pytest.mark.parametrize("call", ["swap", "reset", "compare_and_set", "reset_vals"])
def test_an_atom_alone_waits_for_the_block_that_holds_it(call):
    atom = Atom(0)
    calls = {
        "swap": lambda: atom.swap(lambda n: n + 5),
        "reset": lambda: atom.reset(6),
        "reset_vals": lambda: atom.reset_vals(6),
        "compare_and_set": lambda: atom.compare_and_set(1, 6),
    }
    with dosync():
        assert atom.deref() == 0
        other = start(calls[call])
        if call == "compare_and_set":
            # 0 is not 1, so there is nothing to wait for.
            assert other.join() is False
        else:
            blocked(other)
        atom.reset(1)
    if call != "compare_and_set":
        found = {"swap": 6, "reset": 1, "reset_vals": (1, 6)}
        assert other.join() == found[call]
    assert atom.deref() == (1 if call == "compare_and_set" else 6)


def test_a_block_that_would_wait_for_its_own_thread_says_so():
    """A callback of the same thread, in a context of its own, wants a second one."""
    ref = Ref(0, name="busy")
    with dosync(name="the block"):
        ref.set(1)
        with pytest.raises(WouldDeadlockError, match="the block"):
            Context().run(transact, "block", ref.deref)
        with pytest.raises(WouldDeadlockError, match="busy"):
            Context().run(commit, ref, 2)
        assert Context().run(ref.deref) == 0
    assert ref.deref() == 1


class SlowGate:
    """As the lock of one who waits. Who opens it first is stopped in the middle."""

    def __init__(self):
        self.inside, self.go_on = threading.Event(), threading.Event()
        self.open = False

    def locked(self):
        return not self.open

    def release(self):
        if not self.inside.is_set():
            self.inside.set()
            wait(self.go_on)
        if self.open:
            raise RuntimeError("release unlocked lock")
        self.open = True
        self.go_on.set()


def test_two_who_find_that_a_thread_has_died():
    """Both end its transaction and wake who waits for it, at the same time."""
    status, waiter, jobs = _status.undecided(None, "gone"), _status._Waiter(), []
    waiter.gate, waiter.next, status.waiters = SlowGate(), None, waiter
    in_it = within(_status.settle_waiters)

    def has_the_list(frame):
        return in_it(frame) and frame.f_locals.get("waiter") is not None

    def other_has_it_too():
        jobs.append(start(_status.abort, status))
        wait(waiter.gate.inside)

    stopped_once(partial(_status.abort, status), has_the_list, other_has_it_too)
    jobs[0].join()
    assert waiter.gate.open
