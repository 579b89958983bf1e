"""The clock: whoever looks at any moment finds the commits in one order."""

from __future__ import annotations

from threading import Event

import pytest
from helpers import (
    Attempts,
    Parked,
    Snapshot,
    commit,
    elsewhere,
    put,
    start,
    transact,
    wait,
)
from interrupts import Interrupted, preempted_at_each_opcode, stopped_once, within

from atomos import Atom, Ref, atomically, dosync
from atomos.atomic import AtomicInteger
from atomos.stm import _clock
from atomos.stm._cell import latest, pending
from atomos.stm._clock import commit_point, finished_point
from atomos.stm._commit import _settle
from atomos.stm._publish import publish, publish_one, publish_two
from atomos.stm._registry import my_record, registry
from atomos.stm._snapshots import open_points
from atomos.stm._turn import clock, turns


class Number(AtomicInteger):
    """Used as the others are."""

    __slots__ = ()
    reset = AtomicInteger.set

    def deref(self):
        return self.get()


class Cells:
    """Some cells, and each way in which a commit steps the clock."""

    def __init__(self):
        self.x, self.y, self.z, self.number = Ref(0), Ref(0), Atom(0), Number(0)
        self.calm()

    def calm(self):
        """See to it that what is written alone takes the shortest way."""
        for _ in range(2):  # the first round is noted as seen by a snapshot
            self.z.reset(0)
            self.number.set(0)

    def one(self, n):
        commit(self.x, n)

    def two(self, n):
        commit(self.x, n, self.y, n)

    def three(self, n):
        commit(self.x, n, self.y, n, self.z, n)

    def block(self, n):
        transact("block", lambda: put(self.x, n))

    def reset(self, n):
        self.z.reset(n)

    def swap(self, n):
        self.z.swap(lambda _: n)

    def add(self, n):
        self.number.add_and_get(n - self.number.get())

    def written(self, way):
        """Return the cells that this way writes."""
        cells = {
            "two": (self.x, self.y),
            "three": (self.x, self.y, self.z),
            "reset": (self.z,),
            "swap": (self.z,),
            "add": (self.number,),
        }
        return cells.get(way, (self.x,))


WAYS = ["one", "two", "three", "block", "reset", "swap", "add"]
#: Those that announce themselves: of several cells, or with a status.
ANNOUNCED = ["two", "three", "block"]


def announced():
    """Return the records of commits that are announced."""
    return [one.pending for one in registry.records if one.pending is not None]


def under_way(frame):
    """A commit is announced, and its number is not stored yet."""
    return any(record.number == 0 for record in announced())


def decided(frame):
    """A commit has its number, and the clock does not show it yet."""
    return any(record.number > clock.now for record in announced())


def has_the_turn(frame):
    number = frame.f_locals.get("number")
    return number is not None and number > clock.done


@pytest.mark.parametrize("way", ANNOUNCED)
def test_a_commit_has_happened_as_soon_as_it_has_its_number(way):
    """What is read outside is not newer than what then begins."""
    cells, seen = Cells(), []
    written = cells.written(way)

    def look():
        values = [cell.deref() for cell in written]
        return values, atomically(lambda: [cell.deref() for cell in written])

    stopped_once(
        lambda: getattr(cells, way)(1), decided, lambda: seen.append(elsewhere(look))
    )
    new = [1] * len(written)
    assert seen == [(new, new)]


@pytest.mark.parametrize("way", WAYS)
def test_nobody_who_looks_on_sees_a_commit_come_and_go(way):
    """Whatever of it is done: it has happened for all from one moment on."""

    def scenario():
        cells = Cells()
        written = cells.written(way)

        def read():
            return [cell.deref() for cell in written]

        def look():
            return [*map(set, (read(), atomically(read), atomically(read), read()))]

        def check(_, seen):
            assert seen in ([{0}] * 4, [{1}] * 4)

        return lambda: getattr(cells, way)(1), look, check

    # Nobody else can commit meanwhile, so all four agree.
    points = preempted_at_each_opcode(scenario, has_the_turn)
    assert points > 10


@pytest.mark.parametrize("following", WAYS)
@pytest.mark.parametrize("way", ANNOUNCED)
@pytest.mark.parametrize("moment", [under_way, decided])
def test_a_commit_that_was_cut_short_in_its_step(moment, way, following):
    """It has happened or it has not, and the next one comes after it."""
    cells = Cells()
    written, also = cells.written(way), cells.written(following)
    before = int(moment is decided)

    def cut():
        raise Interrupted

    with pytest.raises(Interrupted):
        stopped_once(lambda: getattr(cells, way)(1), moment, cut)

    def read():
        return [cell.deref() for cell in written]

    assert read() == elsewhere(read) == atomically(read) == [before] * len(written)
    snapshot = Snapshot()
    elsewhere(getattr(cells, following), 2)
    assert [cell.deref() for cell in also] == [2] * len(also)
    assert [snapshot.read(cell) for cell in written] == [before] * len(written)
    snapshot.close()
    commit(cells.x, 3, cells.y, 3)
    assert (cells.x.history_count, cells.y.history_count) == (0, 0)


@pytest.mark.parametrize("way", ["reset", "swap", "add"])
def test_a_step_cut_short_and_a_cell_written_alone_after_a_validation(way):
    """What was validated before it is outdated: its number is a new one."""
    cells, tries = Cells(), Attempts()
    (alone,) = cells.written(way)

    def cut_short():
        """As a commit of another cell that ended before it stepped the clock."""
        left = pending(None)
        left.number = clock.now + 1
        my_record().pending = left

    def body():
        tries.begin()
        if tries.count == 2:  # begins without a snapshot
            elsewhere(cells.calm)
            cut_short()
        cells.x.set(alone.deref() + 1)
        cells.y.set(1)
        tries.once(alone.reset, 0)

    def write():
        getattr(cells, way)(10)
        return cells.x.deref()

    def at_the_commit_point(frame):
        return frame.f_code is commit_point.__code__ and tries.count == 2

    seen = []
    stopped_once(
        lambda: atomically(body),
        at_the_commit_point,
        lambda: seen.append(elsewhere(write)),
    )
    assert seen == [0], "it has not happened yet when the cell has been written"
    assert cells.x.deref() == 11, "so it comes after that"
    assert tries.count == 3


# What is written alone, while a snapshot is opened

ALONE = ["reset", "swap", "add"]
ALONE_CODE = within(Atom.swap, AtomicInteger.add_and_get, publish)
SHORT_CODE = within(publish_one, publish_two, open_points)


def stepped(cell):
    """The clock shows a commit of `cell` alone that nobody can see yet."""
    return clock.now > clock.done and latest(cell).number < clock.now


@pytest.mark.parametrize("earlier", [False, True], ids=["", "after another one"])
@pytest.mark.parametrize("seen", [False, True], ids=["", "observed"])
@pytest.mark.parametrize("way", [*ALONE, "one", "two"])
def test_a_snapshot_opened_while_a_cell_is_written(way, seen, earlier):
    """Whatever follows: it finds what it can read."""

    def scenario():
        cells = Cells()
        cell = cells.written(way)[0]
        first = Snapshot() if earlier else None
        if seen:
            atomically(cells.y.deref)

        def read(park):
            with dosync(read_only=True):
                cells.y.deref()
                park()
                return cell.deref()

        def check(_, parked):
            for n in (2, 3):
                getattr(cells, way)(n)
            assert parked.finish() in (0, 1)
            if first is not None:
                assert first.read(cell) == 0
                first.close()

        return lambda: getattr(cells, way)(1), lambda: Parked(read), check

    def when(frame):
        return ALONE_CODE(frame) or SHORT_CODE(frame)

    assert preempted_at_each_opcode(scenario, when) > 20


@pytest.mark.parametrize("way", ALONE)
def test_a_snapshot_and_then_two_cells_are_written_alone(way):
    """The second one sees that the snapshot was opened, though the first one saw it."""
    cells, other = Cells(), Cells()
    (cell,) = cells.written(way)
    snapshot = Snapshot()
    other.reset(1)
    getattr(cells, way)(1)
    getattr(cells, way)(2)
    assert snapshot.read(cell) == 0
    snapshot.close()


@pytest.mark.parametrize("way", ALONE)
def test_two_write_one_cell_alone(way):
    """No update is lost, wherever the one comes in between."""

    def scenario():
        cells = Cells()
        (cell,) = cells.written(way)

        def add():
            if way == "add":
                return cell.add_and_get(1)
            if way == "swap":
                return cell.swap(lambda n: n + 1)
            return cells.z.compare_and_set(0, 1) or cells.z.compare_and_set(1, 2)

        return add, add, lambda *_: check(cell)

    def check(cell):
        assert cell.deref() == 2

    def when(frame):
        return ALONE_CODE(frame) and not has_the_turn(frame)

    assert preempted_at_each_opcode(scenario, when) > 10


@pytest.mark.parametrize("way", ALONE)
def test_a_cell_that_is_written_alone_during_a_validation(way, monkeypatch):
    """It is not linked yet, but its number is the last: the validation waits."""
    cells, tries = Cells(), Attempts()
    (cell,) = cells.written(way)
    stopped, waits, jobs = Event(), Event(), []

    class Waiting:
        def __iter__(self):
            return self

        def __next__(self):
            waits.set()
            return next(turns)

    monkeypatch.setattr(_clock, "turns", Waiting())

    def body():
        tries.begin()
        cells.x.set(cell.deref() + 1)
        cells.y.set(1)

    def stop():
        stopped.set()
        wait(waits)

    def write():
        stopped_once(lambda: getattr(cells, way)(10), lambda _: stepped(cell), stop)

    def meet():
        waits.clear()
        jobs.append(start(write))
        wait(stopped)

    stopped_once(lambda: atomically(body), within(finished_point), meet)
    jobs[0].join()
    assert tries.count == 2
    assert (cell.deref(), cells.x.deref()) == (10, 11)


@pytest.mark.parametrize("way", ALONE)
def test_what_is_displaced_alone_goes_at_once(way):
    """Also when a snapshot was open before."""
    cells = Cells()
    (cell,) = cells.written(way)
    for n in range(4):
        if n % 2:
            atomically(cell.deref)
        getattr(cells, way)(n)
        assert latest(cell).older is None


def test_an_atom_alone_on_a_commit_that_is_not_settled_yet():
    """It has happened, though its version has no number of its own."""
    cells, seen = Cells(), []

    def unsettled(frame):
        return frame.f_code is _settle.__code__ and cells.z._newest.number == 0

    def add():
        return cells.z.swap_vals(lambda n: n + 10)

    stopped_once(lambda: cells.three(1), unsettled, lambda: seen.append(elsewhere(add)))
    assert seen == [(1, 11)]
    assert (cells.x.deref(), cells.z.deref()) == (1, 11)


def test_a_hold_that_has_ended_is_forgotten():
    """So that an atom is written in the shortest way again."""
    cells = Cells()
    cells.three(1)
    assert cells.z._holder is not None
    cells.reset(2)
    assert cells.z._holder is None


# isolation="snapshot": the first to commit wins


@pytest.mark.parametrize(
    ("total", "other"), [(t, o) for t in (1, 2, 3) for o in range(t)]
)
def test_snapshot_does_not_write_over_what_came_after_it(total, other):
    """Not even what it has not read."""
    cells, tries = Cells(), Attempts()
    refs = [cells.x, cells.y, cells.z][:total]

    def body():
        tries.begin()
        for ref in refs:
            put(ref, 1)
        tries.once(commit, refs[other], 2)

    transact("function", body, isolation="snapshot")
    assert [ref.deref() for ref in refs] == [1] * total
    assert tries.count == 2


@pytest.mark.parametrize("total", [1, 2, 3])
@pytest.mark.parametrize("way", ALONE)
def test_snapshot_reads_a_cell_just_before_it_is_written_alone(way, total):
    """It has its number, but not its value: then it must not be written over."""
    cells, tries = Cells(), Attempts()
    (cell,) = cells.written(way)
    jobs = []

    def run(park):
        def body():
            tries.begin()
            value = cell.deref()
            park()
            cell.reset(value + 1)
            for ref in (cells.x, cells.y)[: total - 1]:
                ref.set(value + 1)

        transact("function", body, isolation="snapshot")

    stopped_once(
        lambda: getattr(cells, way)(10),
        lambda _: stepped(cell),
        lambda: jobs.append(Parked(run)),
    )
    jobs[0].finish()
    assert cell.deref() == 11
    assert tries.count == 2
