"""A signal handler or finalizer that uses cells, at each point where one can run."""

from __future__ import annotations

import contextlib

import pytest
from helpers import FORMS, Attempts, Parked, commit, elsewhere, transact
from interrupts import Tracer

from atomos import Atom, Ref, atomically, outside
from atomos.errors import CommuteError, WouldDeadlockError
from atomos.stm._inside import inside
from atomos.stm._registry import my_record, registry
from atomos.stm._turn import INITIAL


def alone(fn, *args):
    outside(atomically, fn, *args)


CALLS = pytest.mark.parametrize("call", [alone, atomically], ids=["outside", "inside"])


class World:
    """Cells that a transaction reads and writes, and those of a handler."""

    def __init__(self):
        self.read, self.blind, self.commuted = Ref(1), Ref(0), Ref(0)
        self.atom, self.unread = Atom(0), Ref(7)
        self.hits, self.told = Ref(0), []
        self.blind.add_watch("told", lambda *change: self.told.append(change[2:]))

    def body(self):
        self.blind.set(self.read.deref())
        self.commuted.commute(lambda n: n + 1)
        self.atom.swap(lambda n: n + 1)
        self.read.alter(lambda n: n + 1)
        self.blind.set(3)
        return self.unread.deref()


def at_each_point(form, act, make=World):
    """Run the body once for each point, and `act` there; yield each world after it."""
    n = 0
    while True:
        n += 1
        world = make()
        tracer = Tracer(n, lambda world=world: act(world))
        assert tracer.run(lambda world=world: transact(form, world.body)) in (7, 8)
        if tracer.where is None:
            break
        yield tracer.where, world
        for record in registry.records:
            assert not record.snapshots
        assert my_record().mine[0] == 0
        commit(world.blind, 0, world.read, 0, world.hits, 0)
    assert n > 20


@CALLS
@pytest.mark.parametrize("form", FORMS)
def test_it_uses_cells_of_its_own(form, call):
    refused = []

    def act(world):
        try:
            call(world.hits.alter, lambda n: n + 1)
        except CommuteError:
            refused.append(world)

    def run():
        for where, world in at_each_point(form, act):
            found = [
                cell.deref()
                for cell in (world.read, world.blind, world.commuted, world.atom)
            ]
            assert found == [2, 3, 1, 1], where
            assert world.hits.deref() == (0 if world in refused else 1), where
            assert world.told == [(0, 3)], where

    elsewhere(run)
    assert len(refused) <= (0 if call is alone else 2), "only in a commute's function"


@CALLS
@pytest.mark.parametrize("name", ["read", "blind", "commuted", "unread", "atom"])
@pytest.mark.parametrize("form", ["decorator", "block"])
def test_it_writes_a_cell_that_is_just_in_use(form, name, call):
    """Its write may be lost inside of the transaction; nothing else is."""

    def act(world):
        cell = getattr(world, name)
        with contextlib.suppress(WouldDeadlockError, CommuteError):
            if name == "atom":
                call(cell.reset, 8)
            else:
                call(cell.set, 8)

    def run():
        for where, world in at_each_point(form, act):
            cells = ("read", "blind", "commuted", "unread", "atom")
            found = {cell: getattr(world, cell).deref() for cell in cells}
            found.pop(name)
            expected = {"read": 2, "blind": 3, "commuted": 1, "unread": 7, "atom": 1}
            if name == "read":
                expected.pop("blind")  # its second write is 3 for sure
                assert found.pop("blind") in (3, 8)
            expected.pop(name)
            assert found == expected, where
            if world.unread.deref() == 7:
                assert world.unread._newest.number == INITIAL, "nobody has written it"
            changes = dict(world.told)
            assert len(changes) == len(world.told) <= 2, where
            value = 0
            while value in changes:
                value = changes.pop(value)
            assert (value, changes) == (world.blind.deref(), {}), where

    elsewhere(run)


class Outdated(World):
    """Its first attempt has read what another thread writes meanwhile."""

    def __init__(self):
        super().__init__()
        self.tries = Attempts()

    def body(self):
        self.tries.begin()
        value = self.read.deref()
        self.commuted.set(value)
        return 7


@pytest.mark.parametrize("form", ["decorator", "loop"])
def test_it_writes_what_is_just_written_and_another_thread_what_was_read(form):
    """That the cell is noted twice must not hide that one more was read."""

    def act(world):
        with contextlib.suppress(WouldDeadlockError):
            atomically(world.commuted.set, 9)
        elsewhere(commit, world.read, 50)

    def run():
        for where, world in at_each_point(form, act, Outdated):
            assert world.commuted.deref() in (9, 50), where

    elsewhere(run)


class Moving(World):
    """It has written, and reads what was committed after its read point."""

    def __init__(self):
        super().__init__()
        self.tries = Attempts()

    def body(self):
        self.tries.begin()
        self.blind.set(self.read.deref())
        self.tries.once(commit, self.unread, 7)
        return self.unread.deref()


@pytest.mark.parametrize("form", ["decorator", "loop"])
def test_it_reads_another_cell_while_the_read_point_moves(form):
    def act(world):
        atomically(world.commuted.deref)

    def run():
        for where, world in at_each_point(form, act, Moving):
            assert world.tries.count == 1, where
            assert world.blind.deref() == 1, where

    elsewhere(run)


@pytest.mark.parametrize("form", ["decorator", "block"])
def test_a_part_is_undone_in_which_a_write_was_lost(form):
    """What the transaction has read stays, and is no older version of the cell."""
    ref = Ref("oldest")
    reader = Parked(lambda park: atomically(lambda: (Ref(0).deref(), park())))

    def part():
        assert ref.deref() == "newest"
        inside().writes.append(ref)  # as a handler leaves it, just when it is read
        raise LookupError

    def body():
        with contextlib.suppress(LookupError):
            transact(form, part)
        return ref.deref()

    try:
        commit(ref, "newest")
        assert ref._newest.older is not None
        assert transact(form, body) == "newest"
    finally:
        reader.finish()


class Reader(World):
    """It writes nothing, so its snapshot is open to the end."""

    def body(self):
        return self.read.deref() + self.unread.deref() - 1


@CALLS
@pytest.mark.parametrize("form", FORMS)
def test_it_opens_a_snapshot_while_one_is_open_or_closed(form, call):
    """Which drops that of a transaction that is just ending from the list."""

    def act(world):
        call(world.blind.deref)

    def run():
        for where, world in at_each_point(form, act, Reader):
            assert world.read.deref() == 1, where

    elsewhere(run)
