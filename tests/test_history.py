"""Old versions from inside: short and long chains, and trims that overlap."""

from __future__ import annotations

from opcode import opmap
from threading import Event

import pytest
from helpers import Snapshot, commit, done_or_blocked, elsewhere, start, wait
from interrupts import preempted_at_each_opcode, stopped_once, within

from atomos import Ref
from atomos.errors import HistoryLostError
from atomos.stm import _history
from atomos.stm._cell import latest
from atomos.stm._history import Deep, read_old, trim, trim_all
from atomos.stm._registry import registry
from atomos.stm._snapshots import open_snapshot
from atomos.stm._turn import clock

IN_A_TRIM = within(
    trim,
    trim_all,
    _history._trim_short,
    _history._trim_long,
    _history._needed_versions,
)
TOUCHES = {opmap["LOAD_ATTR"], opmap["STORE_ATTR"]}


def trims(frame):
    """A trim is about to load or store what others may load or store."""
    return IN_A_TRIM(frame) and frame.f_code.co_code[frame.f_lasti] in TOUCHES


def kept(ref):
    """Return the old versions that hang off the newest one."""
    found, version = [], latest(ref).older
    while version is not None:
        found.append(version)
        version = version.older
    return found


class History:
    """A ref with an open snapshot for each of its old versions."""

    def __init__(self, total, **options):
        self.ref, self.snapshots = Ref(0, **options), {}
        for n in range(total):
            self.snapshots[n] = Snapshot()
            commit(self.ref, n + 1)

    def close(self, *numbers):
        for n in numbers:
            self.snapshots.pop(n).close()

    def read(self):
        return {n: snapshot.read(self.ref) for n, snapshot in self.snapshots.items()}

    def check(self):
        """Each snapshot finds its version, and after a trim there are no others."""
        found = self.read()
        assert found == {n: n for n in self.snapshots}
        self.ref.trim_history()
        assert self.ref.history_count == len(self.snapshots)
        self.ref._check()

    def end(self):
        self.close(*self.snapshots)
        self.ref.trim_history()
        assert self.ref.history_count == 0


#: So many that some lie in the SortedDict, if it begins early.
MANY = _history.SHORT + 4


@pytest.fixture(params=[32, 2], ids=["", "deep early"])
def chain(request, monkeypatch):
    """Where the SortedDict begins: also where it could be taken for a short chain."""
    monkeypatch.setattr(_history, "CHAIN", request.param)
    return request.param


@pytest.mark.parametrize("which", [0, 1, MANY - 4, MANY - 3, MANY - 2, MANY - 1])
@pytest.mark.parametrize("how", ["commit", "trim_history"])
def test_one_that_is_not_needed_goes_alone(how, which, chain):
    """Wherever it lies, in the SortedDict or before it, or is the first of it."""
    history = History(MANY)
    assert isinstance(kept(history.ref)[-1], Deep) == (chain == 2)
    history.close(which)
    if how == "commit":
        commit(history.ref, "new")
    else:
        history.ref.trim_history()
    assert history.ref.history_count == MANY - 1
    history.check()
    history.end()


def test_many_that_are_not_needed_go_together(chain):
    """And those that are left are found, though few of them are in the SortedDict."""
    history = History(MANY)
    for n in reversed(range(1, MANY)):
        history.close(n)
        commit(history.ref, "new")
        assert history.ref.history_count == len(history.snapshots)
        history.check()
    history.end()


CHANGES = {
    "nothing": (),
    "some": (1, 3, 4, MANY - 3),
    "all but one": (0, *range(2, MANY)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_trims_that_overlap(change, chain):
    """At each step of one another one runs, and commits something newer."""

    def scenario():
        history = History(MANY)
        history.close(*CHANGES[change])
        taken = []

        def write():
            taken.append(Snapshot())
            commit(history.ref, "newer")

        def other():
            commit(history.ref, "between")
            history.ref.trim_history()

        def check(*_):
            found = taken[0].read(history.ref)
            assert found in (MANY, "between")
            taken[0].close()
            commit(history.ref, "last")
            history.check()
            history.end()

        return write, other, check

    assert preempted_at_each_opcode(scenario, trims) > 20


@pytest.mark.parametrize("total", [3, MANY])
def test_trims_while_somebody_reads(total, chain):
    """He is on his way down, and arrives."""

    def scenario():
        history = History(total)

        def other():
            for n in range(3):
                commit(history.ref, f"newer {n}")
                history.ref.trim_history()

        def check(found, _):
            assert found == 0
            history.check()
            history.end()

        return lambda: history.snapshots[0].read(history.ref), other, check

    when = within(read_old, latest, Deep.at)
    assert preempted_at_each_opcode(scenario, when) > 10


@pytest.mark.parametrize("cap", [0, 2])
def test_max_history_and_trims_that_overlap(cap, chain):
    """A version that is gone is not taken for another one."""

    def scenario():
        history = History(6, max_history=cap)

        def check(*_):
            for n, snapshot in history.snapshots.items():
                try:
                    assert snapshot.read(history.ref) == n
                except HistoryLostError:
                    pass
            commit(history.ref, "last")
            assert history.ref.history_count <= cap
            history.ref._check()
            history.end()

        def write():
            commit(history.ref, "newer")

        return write, write, check

    assert preempted_at_each_opcode(scenario, trims) > 10


def test_a_reader_that_ended_before_the_next_commit_keeps_nothing_below():
    """The one that is left sees the version displaced now, and none that is older."""
    ref = Ref(0)
    first = Snapshot()
    commit(ref, 1)
    second = Snapshot()
    first.close()
    commit(ref, 2)
    assert ref.history_count == 1
    assert second.read(ref) == 1
    second.close()


def test_a_reader_that_began_after_the_commit_keeps_nothing():
    """It sees the newest one: a commit finds it when it comes to trim."""
    ref = Ref(0)
    first = Snapshot()
    commit(ref, 1)
    first.close()
    trim(ref, ref._newest, [ref._newest.number])
    assert ref.history_count == 0


def has_a_read_point(frame):
    """A snapshot is being opened, and others cannot know of it yet."""
    return frame.f_code is open_snapshot.__code__ and "point" in frame.f_locals


def decided(frame):
    """A commit has its number, and the clock does not show it yet."""
    records = [one.pending for one in registry.records]
    return any(one is not None and one.number > clock.now for one in records)


@pytest.mark.parametrize("total", [2, 3])
def test_a_trim_in_the_middle_of_a_commit_drops_nothing_of_who_begins(total):
    """Who has begun before that commit finds the clock as it was, and goes on."""
    refs = [Ref(0) for _ in range(total)]
    stopped, go_on, jobs, begun = Event(), Event(), [], []

    def trim_and_wait():
        jobs.append(start(refs[0].trim_history))
        done_or_blocked(jobs[-1])
        stopped.set()
        wait(go_on)

    def write():
        pairs = [part for ref in refs for part in (ref, 1)]
        stopped_once(lambda: commit(*pairs), decided, trim_and_wait)

    def meet():
        jobs.append(start(write))
        wait(stopped)

    try:
        stopped_once(lambda: begun.append(Snapshot()), has_a_read_point, meet)
    finally:
        go_on.set()
        for job in jobs:
            job.join()
    assert [begun[0].read(ref) for ref in refs] == [0] * total
    begun[0].close()
    assert refs[0].deref() == 1


@pytest.mark.parametrize("total", [9, 33, 50])
def test_a_long_chain_is_walked_once_for_the_same_readers(total, monkeypatch):
    """Not at each commit: threads that wait in the middle of a read would slow all."""
    long_way, walks = _history._trim_long, []

    def trim_long(cell, newest, points):
        walks.append(points)
        long_way(cell, newest, points)

    history = History(total)
    commit(history.ref, "keeps what all of them see")
    monkeypatch.setattr(_history, "_trim_long", trim_long)
    for n in range(20):
        commit(history.ref, n)
    assert walks == []
    assert history.ref.history_count == total
    history.close(1, total // 2)
    commit(history.ref, "knows that two have gone")
    assert len(walks) == 1
    assert history.ref.history_count == total - 2
    history.check()
    history.close(*list(history.snapshots))


def test_who_knows_the_same_readers_from_elsewhere_walks_no_more(monkeypatch):
    """Each thread makes its own list of read points; they are compared."""
    walks = []
    history = History(50)
    elsewhere(commit, history.ref, "first")
    monkeypatch.setattr(_history, "_trim_long", lambda *args: walks.append(args))
    for n in range(3):
        elsewhere(commit, history.ref, n)
    assert walks == []
    history.close(*list(history.snapshots))
