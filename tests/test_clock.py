"""The clock: whoever looks at any moment finds the commits in one order."""

from __future__ import annotations

import pytest
from helpers import Attempts, Snapshot, commit, elsewhere, put, transact
from interrupts import Interrupted, preempted_at_each_opcode, stopped_once

from atomos import Atom, Ref, atomically
from atomos.atomic import AtomicInteger
from atomos.stm._cell import pending
from atomos.stm._clock import commit_point
from atomos.stm._turn import clock


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


def under_way(frame):
    """A commit is announced, and its number is not stored yet."""
    return clock.pending is not None and clock.pending.number == 0


def decided(frame):
    """A commit has its number, and the clock does not show it yet."""
    return clock.pending is not None and clock.pending.number > clock.now


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
        clock.pending = left

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
