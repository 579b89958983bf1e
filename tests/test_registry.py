"""Open snapshots: none is overlooked, and none is kept that has ended."""

from __future__ import annotations

import contextlib
from queue import SimpleQueue

import pytest
from helpers import (
    FORMS,
    PATIENCE,
    Attempts,
    Parked,
    Snapshot,
    commit,
    elsewhere,
    start,
    transact,
    until,
)
from interrupts import (
    Interrupted,
    Tracer,
    interrupted_at_each_point,
    preempted_at_each_opcode,
    within,
)

from atomos import Atom, Ref, atomically, dosync
from atomos.stm import _registry
from atomos.stm._registry import my_record
from atomos.stm._snapshots import close_snapshot, open_snapshot

# A snapshot is opened while others commit


def a_reader(form, alone, again):
    """Return a scenario: one opens a snapshot, the other one commits meanwhile.

    The other one does so twice more before anything is read.
    """

    def scenario():
        a, b, tries = Atom(0), Ref(0), Attempts()

        def write():
            n = a.deref() + 1
            a.reset(n) if alone else commit(a, n, b, n)

        def body():
            tries.begin()
            first = a.deref()
            elsewhere(write)
            elsewhere(write)
            return first, a.deref(), b.deref()

        def check(seen, _):
            first, second, other = seen
            assert first == second, "a version was dropped that it can read"
            assert alone or other == first
            assert tries.count == 1, "a reader was run again"
            commit(a, 0, b, 0)
            assert b.history_count == 0

        return lambda: transact(form, body, read_only=True), write, check

    return preempted_at_each_opcode(scenario, within(open_snapshot), again)


@pytest.mark.parametrize("again", [False, True], ids=["once", "again and again"])
@pytest.mark.parametrize("alone", [False, True], ids=["a transaction", "an atom"])
@pytest.mark.parametrize("form", ["decorator", "block"])
def test_a_commit_while_a_snapshot_is_opened(form, alone, again):
    """It has been in time to be seen, or what it displaces is kept."""
    assert a_reader(form, alone, again) > 20


@pytest.mark.parametrize("form", ["decorator", "block"])
def test_a_commit_while_a_snapshot_is_opened_that_nothing_follows(form):
    """What it displaced has gone by then: the snapshot does not need it."""

    def scenario():
        a, b, tries = Ref(0), Ref(0), Attempts()

        def body():
            tries.begin()
            return a.deref(), b.deref(), tries.count

        def check(seen, _):
            assert seen in ((0, 0, 1), (1, 1, 1))

        return (
            lambda: transact(form, body, read_only=True),
            lambda: commit(a, 1, b, 1),
            check,
        )

    assert preempted_at_each_opcode(scenario, within(open_snapshot)) > 20


# Several snapshots in one thread


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2), (0, 2, 1)])
def test_each_snapshot_of_one_thread_keeps_its_version(order):
    ref, snapshots = Ref(0), []
    for n in range(3):
        snapshots.append(Snapshot())
        elsewhere(commit, ref, n + 1)
    left = list(order)
    while left:
        assert ref.history_count == len(left)
        assert [snapshots[n].read(ref) for n in left] == left
        snapshots[left.pop(0)].close()
        elsewhere(commit, ref, "new")
    assert ref.history_count == 0


def test_a_commit_while_a_thread_opens_a_second_snapshot():
    """Its first one still finds its version, too."""

    def scenario():
        ref = Ref(0)
        first = Snapshot()

        def check(second, _):
            elsewhere(commit, ref, 2)
            elsewhere(commit, ref, 3)
            assert first.read(ref) == 0
            assert second.read(ref) in (0, 1)
            first.close()
            second.close()

        return Snapshot, lambda: commit(ref, 1), check

    assert preempted_at_each_opcode(scenario, within(open_snapshot)) > 20


def test_a_snapshot_that_another_thread_closes_keeps_nothing():
    """Its own thread lives on, and opens no other one."""
    ref, kept = Ref(0), []

    def generator():
        with dosync(read_only=True):
            yield

    def run(park):
        kept.append(generator())
        next(kept[0])
        park()

    parked = Parked(run)
    try:
        commit(ref, 1)
        assert ref.history_count == 1
        kept[0].close()
        commit(ref, 2)
        assert ref.history_count == 0
    finally:
        parked.finish()


@pytest.mark.parametrize("which", [0, 1])
def test_one_of_two_that_another_thread_closes(which):
    """The other one still finds its version."""
    ref, snapshots = Ref(0), []
    for n in range(2):
        snapshots.append(Snapshot())
        elsewhere(commit, ref, n + 1)
    elsewhere(snapshots.pop(which).close)
    elsewhere(commit, ref, 3)
    assert ref.history_count == 1
    assert snapshots[0].read(ref) == 1 - which
    snapshots[0].close()
    commit(ref, 4)
    assert ref.history_count == 0


@pytest.mark.parametrize("step", [open_snapshot, close_snapshot])
def test_one_is_closed_from_outside_while_its_thread_opens_or_closes_another(step):
    ref = Ref(0)

    def scenario():
        first = Snapshot()
        commit(ref, "before")

        def open_and_read():
            second = Snapshot()
            if step is close_snapshot:
                second.close()
                second = None
            return second

        def check(second, _):
            elsewhere(commit, ref, "after")
            elsewhere(commit, ref, "later")
            if second is not None:
                assert second.read(ref) == "before"
                assert ref.history_count == 1
                second.close()
                elsewhere(commit, ref, "at last")
            assert ref.history_count == 0

        return open_and_read, first.close, check

    assert preempted_at_each_opcode(scenario, within(step)) > 5


class Owner:
    """A thread that does what it is told, and has a snapshot open."""

    def __init__(self):
        self._told, self._answers = SimpleQueue(), SimpleQueue()
        self.job = start(self._run)
        self.first = self.do(Snapshot)

    def _run(self):
        while (fn := self._told.get(timeout=PATIENCE)) is not None:
            try:
                self._answers.put((fn(), None))
            except BaseException as error:
                self._answers.put((None, error))

    def do(self, fn):
        self._told.put(fn)
        result, error = self._answers.get(timeout=PATIENCE)
        if error is not None:
            raise error
        return result

    def end(self):
        self._told.put(None)
        self.job.join()


@pytest.mark.parametrize("how", ["opens", "closes"])
def test_its_thread_opens_or_closes_another_while_one_is_closed_from_outside(how):
    """Where the thread finds the one that has ended, and takes it out itself."""
    ref = Ref(0)

    def scenario():
        owner = Owner()
        second = owner.do(Snapshot) if how == "closes" else None

        def other():
            return owner.do(Snapshot if second is None else second.close)

        def check(_, opened):
            elsewhere(commit, ref, ref.deref() + 1)
            if opened is not None:
                assert owner.do(lambda: opened.read(ref)) == ref.deref() - 1
                owner.do(opened.close)
            elsewhere(commit, ref, ref.deref() + 1)
            owner.end()
            assert ref.history_count == 0

        return owner.first.close, other, check

    assert preempted_at_each_opcode(scenario, within(close_snapshot)) > 5


def test_the_last_one_is_closed_from_outside_while_its_thread_ends_a_block():
    """The thread has seen that there is one, and then there is none."""

    def scenario():
        first, plain = Snapshot(), dosync()

        def run():
            with plain:
                pass

        return run, first.close, lambda *_: None

    assert preempted_at_each_opcode(scenario, within(close_snapshot)) > 5


# A snapshot whose end was cut short


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_a_reader_that_was_cut_short_keeps_nothing(form, read_only, quiet_hook):
    """Though its thread lives on, and opens no other snapshot."""
    ref = Ref(0)

    def read():
        return transact(form, ref.deref, read_only=read_only)

    def check():
        elsewhere(commit, ref, 1)
        elsewhere(commit, ref, 2)
        assert elsewhere(lambda: ref.history_count) == 0

    def run():
        read()  # what is done but once is done by now
        return interrupted_at_each_point(lambda tracer: read, check)

    assert elsewhere(run) > 5


@pytest.mark.parametrize("form", FORMS)
def test_a_reader_that_raises_and_was_cut_short_keeps_nothing(form, quiet_hook):
    """Its snapshot is closed when it has ended already."""
    ref = Ref(0)

    def body():
        ref.deref()
        raise KeyError

    def read():
        with contextlib.suppress(KeyError):
            transact(form, body, read_only=True)

    def check():
        elsewhere(commit, ref, 1)
        elsewhere(commit, ref, 2)
        assert elsewhere(lambda: ref.history_count) == 0

    def run():
        read()
        return interrupted_at_each_point(lambda tracer: read, check)

    assert elsewhere(run) > 5


# More threads than there are places


@pytest.fixture
def crowd():
    """Threads that read one ref, so many that some have no place in the buffer.

    The mark that they leave in it stays for good; so it is taken out again.
    """
    ref, parked = Ref(0), []

    def read(park):
        def body():
            park()
            return ref.deref()

        return transact("decorator", body)

    for n in range(_registry.PLACES + 6):
        parked.append(Parked(read))
        commit(ref, n + 1)

    def gone():
        elsewhere(commit, ref, 0)  # who comes drops the records of the dead
        return all(record.place >= 0 for record in _registry.registry.records)

    try:
        yield ref, parked
    finally:
        for one in parked:
            one.go_on()
        try:
            for one in parked:
                one.finish()
            until(gone)
        finally:
            _registry.numbers(_registry.buffer)[-1] = 0


def test_threads_without_a_place_keep_what_they_can_read(crowd):
    ref, parked = crowd
    assert any(record.place < 0 for record in _registry.registry.records)
    assert ref.history_count == len(parked)
    ref._check()
    while parked:
        n = len(parked) - 1
        assert parked.pop().finish() == n
        if n % 10 == 0:
            commit(ref, "new")
            assert ref.history_count == n
    commit(ref, "new")
    assert ref.history_count == 0


def test_a_thread_without_a_place_that_has_ended_keeps_nothing(crowd):
    """It ended in the middle of a transaction that a generator holds open."""
    ref, parked = crowd
    kept = []

    def generator():
        with dosync(read_only=True):
            ref.deref()
            yield

    def run():
        kept.append(generator())
        next(kept[0])
        return my_record()

    record = elsewhere(run)
    until(lambda: record.dead)  # a thread ends a little later than its function
    assert record.place < 0
    commit(ref, "new")
    assert ref.history_count == len(parked)
    kept.clear()


def test_who_is_cut_short_while_he_registers_clears_nobody_elses_number(quiet_hook):
    """Another thread has taken the place that he had chosen, and reads there."""
    points = 0
    while True:
        points += 1
        ref, readers = Ref(0), []

        def read(park, ref=ref):
            with dosync(read_only=True):
                park()
                return ref.deref()

        def act(read=read, readers=readers):
            readers.append(Parked(read))
            raise Interrupted

        tracer = Tracer(points, act)

        def register(tracer=tracer):
            with contextlib.suppress(Interrupted):
                tracer.run(_registry.my_record)

        elsewhere(register)
        if not readers:
            break
        elsewhere(atomically, ref.set, 1)
        assert readers[0].finish() == 0, tracer.where
    assert points > 10
