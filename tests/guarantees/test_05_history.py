"""Guarantee 5: exactly those old versions are kept that somebody can read."""

from __future__ import annotations

import gc
import random
import weakref

import pytest
from helpers import (
    CELLS,
    FORMS,
    RERUN_FORMS,
    Attempts,
    Parked,
    Snapshot,
    commit,
    elsewhere,
    put,
    run_threads,
    start,
    transact,
    until,
)

from atomos import Ref, atomically, dosync
from atomos.errors import HistoryLostError


class Value:
    """Something that a weak reference can point at."""


def reader(cells, form="decorator", **options):
    """Park a transaction that has read the first cell and will read all."""

    def run(park):
        def body():
            cells[0].deref()
            park()
            return [cell.deref() for cell in cells]

        return transact(form, body, **options)

    return Parked(run)


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize("form", RERUN_FORMS)
def test_one_version_for_each_point_at_which_somebody_reads(form, read_only):
    ref, readers = Ref(0), []
    for n in range(6):
        assert ref.history_count == n
        readers.append(reader([ref], form, read_only=read_only))
        commit(ref, n + 1)
        ref._check()
    assert ref.history_count == 6
    for n in (3, 0, 5, 1, 4, 2):
        assert readers[n].finish() == [n]
    commit(ref, "last")
    assert ref.history_count == 0
    ref._check()


@pytest.mark.parametrize("order", ["first to last", "last to first", "at random"])
@pytest.mark.parametrize("total", [2, 31, 32, 33, 34, 100])
def test_many_versions(total, order):
    """However they are stored: each is found, and goes when it is not needed."""
    ref, other = Ref(0), Ref(0)
    snapshots = {}
    for n in range(total):
        snapshots[n] = Snapshot()
        commit(ref, n + 1)
        commit(other, n)
        assert ref.history_count == n + 1
        ref._check()
    assert [snapshots[n].read(ref) for n in snapshots] == list(range(total))
    numbers = list(range(total))
    if order == "at random":
        random.Random(total).shuffle(numbers)
    for n in numbers if order != "last to first" else numbers[::-1]:
        assert snapshots[n].read(ref) == n
        snapshots.pop(n).close()
        if n % 3:
            ref.trim_history()
        else:
            commit(ref, "new")
        assert ref.history_count == len(snapshots)
        ref._check()
        for rest in snapshots:
            assert snapshots[rest].read(ref) == rest
    assert ref.history_count == 0


@pytest.mark.parametrize("cap", [0, 1, 5, 31, 32, 33, 60])
def test_max_history_of_many_versions(cap):
    ref, snapshots = Ref(0, max_history=cap), []
    for n in range(50):
        snapshots.append(Snapshot())
        commit(ref, n + 1)
        assert ref.history_count == min(n + 1, cap)
        ref._check()
    for n, snapshot in enumerate(snapshots):
        if n >= 50 - cap:
            assert snapshot.read(ref) == n
            snapshot.close()
        else:
            with pytest.raises(HistoryLostError):
                snapshot.read(ref)
    ref.trim_history()
    assert ref.history_count == 0


def test_many_versions_while_others_read_and_commit(often):
    """The same in the middle of things: threads read deep and commit at once."""
    ref, done = Ref(0), []

    def read(seed):
        rng, snapshots = random.Random(seed), []
        while not done:
            snapshot = Snapshot()
            snapshots.append((snapshot, snapshot.read(ref)))
            if len(snapshots) > 40:
                rng.shuffle(snapshots)
                while len(snapshots) > 20:
                    snapshots.pop()[0].close()
            snapshot, seen = rng.choice(snapshots)
            assert snapshot.read(ref) == seen
        while snapshots:
            snapshot, seen = snapshots.pop()
            assert snapshot.read(ref) == seen
            snapshot.close()

    def write():
        for n in range(400):
            commit(ref, n)
            ref.history_count
        done.append(True)

    run_threads(write, lambda: read(1), lambda: read(2))
    commit(ref, "end")
    assert ref.history_count == 0
    ref._check()


def test_two_readers_at_one_point_keep_one_version():
    ref = Ref(0)
    readers = [reader([ref]) for _ in range(3)]
    commit(ref, 1)
    commit(ref, 2)
    assert ref.history_count == 1
    for parked in readers:
        assert parked.finish() == [0]


def test_versions_that_nobody_reads_in_between_go():
    ref = Ref(0)
    first = reader([ref])
    for n in range(1, 10):
        commit(ref, n)
    assert ref.history_count == 1
    second = reader([ref])
    for n in range(10, 20):
        commit(ref, n)
        assert ref.history_count == 2
    assert (first.finish(), second.finish()) == ([0], [9])


def test_trim_history_needs_no_write():
    ref = Ref(0)
    readers = []
    for n in range(4):
        readers.append(reader([ref]))
        commit(ref, n + 1)
    readers[1].finish()
    assert ref.history_count == 4
    ref.trim_history()
    assert ref.history_count == 3
    for i in (0, 2, 3):
        readers[i].finish()
    ref.trim_history()
    assert ref.history_count == 0
    ref._check()


@pytest.mark.parametrize("isolation", ["serializable", "snapshot"])
@pytest.mark.parametrize("form", FORMS)
def test_without_readers_nothing_is_kept(form, isolation):
    ref = Ref(0)
    for n in range(5):
        transact(form, lambda n=n: put(ref, n), isolation=isolation)
        assert ref.history_count == 0
        transact(form, lambda: put(ref, ref.deref() + 1), isolation=isolation)
        assert ref.history_count == 0
        ref._check()


@pytest.mark.parametrize("ending", ["writes", "raises"])
@pytest.mark.parametrize("form", RERUN_FORMS)
def test_however_the_reader_ends(form, ending):
    ref, other = Ref(0), Ref(0)

    def run(park):
        def body():
            ref.deref()
            park()
            if ending == "raises":
                raise KeyError
            other.set(1)
            return ref.deref()

        return transact(form, body)

    parked = Parked(run)
    commit(ref, 1)
    assert ref.history_count == 1
    if ending == "raises":
        with pytest.raises(KeyError):
            parked.finish()
    else:
        # It had read an old version, so it was run again.
        assert parked.finish() == 1
    commit(ref, 2)
    assert ref.history_count == 0


def test_a_writer_keeps_no_old_versions():
    """From its first write on it needs the newest ones only."""
    ref, other = Ref(0), Ref(0)

    @dosync
    def body(park):
        ref.deref()
        other.set(1)
        park()

    parked = Parked(body)
    commit(ref, 1)
    assert ref.history_count == 0
    parked.finish()
    assert ref.history_count == 0


def test_never_more_than_there_are_transactions(often):
    refs, readers, rounds = [Ref(0), Ref(0)], 4, 60
    done = []

    def write():
        rng = random.Random(1)
        for n in range(rounds * 4):
            commit(rng.choice(refs), n)
        done.append(True)

    def read():
        while not done:
            atomically(lambda: [ref.deref() for ref in refs])

    def look():
        seen = set()
        while not done:
            seen |= {ref.history_count for ref in refs}
        return max(seen, default=0)

    most = run_threads(write, look, *[read] * readers)[1]
    assert most <= readers + 1
    commit(refs[0], "x", refs[1], "x")
    for ref in refs:
        ref._check()
        assert ref.history_count == 0


# Values die


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("form", FORMS)
def test_a_value_that_was_replaced_dies_at_once(form, kind):
    cell = CELLS[kind](Value())
    old = weakref.ref(cell.deref())
    transact(form, lambda: put(cell, Value()))
    assert old() is None
    old = weakref.ref(cell.deref())
    put(cell, None) if kind == "atom" else commit(cell, None)
    assert old() is None


@pytest.mark.parametrize("total", [1, 2, 3])
def test_a_value_that_was_committed_with_others_dies_when_it_is_replaced(total):
    """Nothing that its commit has used keeps it."""
    refs = [Ref(0) for _ in range(total)]
    values = []

    def write():
        for ref in refs:
            ref.set(Value())
            values.append(weakref.ref(ref.deref()))

    atomically(write)
    for ref in refs:
        commit(ref, None)
    assert [value() for value in values] == [None] * total


@pytest.mark.parametrize("isolation", ["serializable", "snapshot"])
@pytest.mark.parametrize("kind", CELLS)
def test_a_value_dies_when_the_last_reader_ended(kind, isolation):
    cell = CELLS[kind](Value())
    values = [weakref.ref(cell.deref())]
    readers = []
    for _ in range(3):
        readers.append(reader([cell], isolation=isolation))
        commit(cell, Value())
        values.append(weakref.ref(cell.deref()))
    assert all(value() is not None for value in values)
    readers[1].finish()
    readers[1] = None  # it has what it returned
    commit(cell, None)
    # The one that readers[1] saw, and the newest one before None.
    assert [value() is not None for value in values] == [True, False, True, False]
    for i in (0, 2):
        readers[i].finish()
    readers.clear()
    commit(cell, 1)
    gc.collect()
    assert [value() for value in values] == [None] * 4


@pytest.mark.parametrize("ending", ["lost", "raised", "lost, then raised"])
@pytest.mark.parametrize("isolation", ["serializable", "snapshot"])
@pytest.mark.parametrize("form", RERUN_FORMS)
@pytest.mark.parametrize("kind", CELLS)
def test_a_value_that_was_not_committed_dies_with_its_attempt(
    kind, form, isolation, ending
):
    """Also when it was lost at the commit, where new versions are linked already."""
    x, y, tries, values = Ref(0), CELLS[kind](0), Attempts(), []

    def body():
        tries.begin()
        x.ensure()
        if tries.count == 1:
            value = Value()
            values.append(weakref.ref(value))
            put(y, value)
            if ending == "raised":
                raise KeyError
            elsewhere(commit, x, 1)
        elif ending == "lost, then raised":
            raise KeyError

    if ending == "lost":
        transact(form, body, isolation=isolation)
        assert tries.count == 2
    else:
        with pytest.raises(KeyError):
            transact(form, body, isolation=isolation)
    assert y.deref() == 0
    gc.collect()
    assert values[0]() is None


def test_a_ref_that_nobody_has_dies_with_its_history():
    ref = Ref(Value())
    parked = reader([ref])
    commit(ref, Value())
    commit(ref, Value())
    dead = weakref.ref(ref)
    parked.finish()
    del ref, parked
    gc.collect()
    assert dead() is None


def test_a_thread_that_ended_keeps_nothing():
    """It ended in the middle of a transaction that a generator held open."""
    ref, kept = Ref(0), []

    def generator():
        for tx in dosync():
            with tx:
                ref.deref()
                yield

    def run():
        kept.append(generator())
        next(kept[0])

    elsewhere(run)
    commit(ref, 1)

    def none_kept():
        ref.trim_history()
        return ref.history_count == 0

    until(none_kept)  # a thread ends a little later than its function
    kept.clear()


# max_history


@pytest.mark.parametrize("cap", [0, 1, 2, 3])
def test_max_history_is_a_cap(cap):
    ref, readers = Ref(0, max_history=cap), []
    for n in range(5):
        readers.append(reader([Ref(0), ref]))
        commit(ref, n + 1)
        assert ref.history_count == min(n + 1, cap)
        ref._check()
    # Each reader reads `ref` now: the newest `cap` find it, the others run again.
    for n, parked in enumerate(readers):
        found = parked.finish()
        assert found == [0, n if n >= 5 - cap else 5]
    commit(ref, 6)
    assert ref.history_count == 0


@pytest.mark.parametrize("form", RERUN_FORMS)
def test_a_reader_that_lost_its_history_runs_again(form):
    a, ref, tries = Ref(0), Ref(0, max_history=0), Attempts()

    def body():
        tries.begin()
        first = a.deref()
        tries.once(commit, a, 1, ref, 1)
        return first, ref.deref()

    assert transact(form, body) == (1, 1)
    assert tries.count == 2


@pytest.mark.parametrize("form", RERUN_FORMS)
def test_a_read_only_one_runs_again_too(form):
    a, ref, tries = Ref(0), Ref(0, max_history=0), Attempts()

    def body():
        tries.begin()
        first = a.deref()
        tries.once(commit, a, 1, ref, 1)
        return first, ref.deref()

    assert transact(form, body, read_only=True) == (1, 1)
    assert tries.count == 2


def test_a_read_only_block_cannot_run_again():
    a, ref = Ref(0), Ref(0, max_history=0, name="short")
    with pytest.raises(HistoryLostError, match="short"):
        with dosync(read_only=True):
            a.deref()
            elsewhere(commit, a, 1, ref, 1)
            ref.deref()
    assert ref.deref() == 1


@pytest.mark.parametrize("form", RERUN_FORMS)
def test_a_read_only_one_that_never_wins_gives_up(form):
    a, ref, tries = Ref(0), Ref(0, max_history=0, name="short"), Attempts()

    def body():
        tries.begin()
        a.deref()
        elsewhere(commit, ref, tries.count)
        return ref.deref()

    with pytest.raises(HistoryLostError, match="short"):
        transact(form, body, read_only=True)
    assert tries.count <= 1000


@pytest.mark.parametrize("form", RERUN_FORMS)
def test_one_that_may_write_does_win(form):
    """It takes hold of the ref at last; the others wait then."""
    a, ref, tries, others = Ref(0), Ref(0, max_history=0), Attempts(), []

    def body():
        tries.begin()
        a.deref()
        others.append(start(commit, ref, tries.count))
        if tries.count <= 8:
            others[-1].join()
        return ref.deref()

    transact(form, body)
    for other in others:
        other.join()
    assert tries.count <= 9
