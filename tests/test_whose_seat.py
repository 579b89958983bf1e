"""Where the running transaction of a thread is found, if several could be meant."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading
from _thread import get_ident
from contextvars import Context
from importlib.machinery import ModuleSpec
from types import ModuleType

import pytest
from helpers import FORMS, PATIENCE, elsewhere, start, transact, until
from interrupts import stopped_once

from atomos import Atom, Ref, atomically, dosync, outside
from atomos.errors import CommuteError, NoTransactionError
from atomos.stm import _registry
from atomos.stm._owner import Asyncio
from atomos.stm._registry import my_record, registry
from atomos.stm._seat import BLOCKS, seats


class Cells:
    """A ref and an atom that are set together."""

    def __init__(self):
        self.ref, self.atom = Ref(0), Atom(0)

    def put(self, value):
        self.ref.set(value)
        self.atom.reset(value)

    def seen(self):
        return self.ref.deref(), self.atom.deref()

    def are_inside(self):
        """Whether the caller is inside of a transaction; changes nothing."""
        try:
            self.ref.set(self.ref.deref())
        except NoTransactionError:
            return False
        return True


def block_of(cells, value):
    """A generator that pauses inside of a plain block."""
    with dosync():
        cells.put(value)
        yield
        cells.put(value + 1)


def in_a_loop(*makers):
    """Run coroutines as tasks of a new event loop, in a loop that may be inside of one.

    asyncio refuses a loop within a loop, so the outer one is hidden meanwhile.
    """
    outer = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    loop = asyncio.new_event_loop()
    try:

        async def main():
            return await asyncio.gather(*(make() for make in makers))

        return loop.run_until_complete(asyncio.wait_for(main(), PATIENCE))
    finally:
        loop.close()
        asyncio._set_running_loop(outer)


def nothing_is_left():
    """The thread's seat says, once it was asked, that nothing runs."""
    assert not Cells().are_inside()
    seat = seats[get_ident()]
    assert seat.tx is None
    assert seat.under is None
    assert not my_record().blocks


@pytest.fixture(autouse=True)
def at_rest():
    nothing_is_left()
    yield
    nothing_is_left()


@pytest.mark.parametrize(
    "form", ["decorator", "function", "loop"]
)  # one block at a time
def test_a_transaction_in_an_empty_context_while_a_block_is_open(form):
    ours, other = Cells(), Cells()

    def body():
        other.put(1)
        assert other.seen() == (1, 1)
        assert elsewhere(other.seen) == (0, 0)

    paused = block_of(ours, 5)
    next(paused)
    assert not Context().run(ours.are_inside)
    Context().run(transact, form, body)
    assert other.seen() == (1, 1)
    assert ours.seen() == (5, 5)
    assert elsewhere(ours.seen) == (0, 0)
    assert list(paused) == []
    assert ours.seen() == (6, 6)


@pytest.mark.parametrize("form", FORMS)
def test_outside(form):
    """As another thread sees it, and committed at once, whatever happens around it."""
    ours, other = Cells(), Cells()

    def body():
        ours.put(1)
        assert outside(ours.seen) == (0, 0)
        assert outside(atomically, other.put, 2) is None
        assert elsewhere(other.seen) == (2, 2)
        with pytest.raises(ZeroDivisionError):
            outside(divmod, 1, 0)
        assert ours.seen() == (1, 1)
        raise LookupError

    with pytest.raises(LookupError):
        transact(form, body)
    assert (ours.seen(), other.seen()) == ((0, 0), (2, 2))
    assert outside(ours.seen) == (0, 0)


def test_outside_wants_a_function():
    with pytest.raises(TypeError, match="outside needs a function"):
        outside(3)


def test_a_block_that_another_thread_ends():
    cells = Cells()
    paused = block_of(cells, 5)
    next(paused)
    assert cells.are_inside()
    elsewhere(paused.close)
    assert not cells.are_inside()
    assert cells.seen() == (0, 0)


@pytest.mark.parametrize("form", ["decorator", "function", "loop"])
def test_tasks_beside_a_task_with_an_open_block(form):
    """One waits inside of its block; what the others do meanwhile is theirs."""
    ours, theirs = Cells(), Cells()

    async def waits(entered, go_on):
        with dosync():
            ours.put(1)
            entered.set()
            await go_on.wait()
            assert ours.seen() == (1, 1)
            ours.put(2)

    async def works(entered, go_on):
        await entered.wait()
        assert not ours.are_inside()
        for value in (1, 2):
            transact(form, lambda value=value: theirs.put(value))
            assert theirs.seen() == (value, value)
        assert ours.seen() == (0, 0)
        go_on.set()

    async def main():
        entered, go_on = asyncio.Event(), asyncio.Event()
        await asyncio.gather(waits(entered, go_on), works(entered, go_on))

    asyncio.run(main())
    assert ours.seen() == (2, 2)
    assert theirs.seen() == (2, 2)


@pytest.mark.parametrize("inner", FORMS)
@pytest.mark.parametrize("outer", ["decorator", "function"])
def test_a_function_that_runs_an_event_loop(outer, inner):
    """Its tasks are others: outside of it, and each in one of its own."""
    ours, theirs = Cells(), Cells()

    async def task():
        assert not ours.are_inside()
        transact(inner, lambda: theirs.put(theirs.ref.deref() + 1))
        await asyncio.sleep(0)
        assert not ours.are_inside()

    def body():
        ours.put(7)
        in_a_loop(task, task)
        assert ours.seen() == (7, 7)
        assert theirs.seen() != (7, 7)
        ours.put(8)

    transact(outer, body)
    assert ours.seen() == (8, 8)
    assert theirs.seen() == (2, 2)


class Paused:
    """A task that has opened a plain block, in an event loop that has stopped."""

    def __init__(self, cells):
        self._cells = cells
        self._loop = asyncio.new_event_loop()
        self._go_on = asyncio.Event()
        self._entered = asyncio.Event()
        self._task = self._loop.create_task(self._body())

    async def _body(self):
        with dosync():
            self._cells.put(3)
            self._entered.set()
            await self._go_on.wait()
            assert self._cells.seen() == (3, 3)
            self._cells.put(4)

    def _run(self, coroutine):
        outer = asyncio._get_running_loop()
        asyncio._set_running_loop(None)
        try:
            self._loop.run_until_complete(asyncio.wait_for(coroutine, PATIENCE))
        finally:
            asyncio._set_running_loop(outer)

    def enter(self):
        self._run(self._entered.wait())

    def finish(self):
        self._go_on.set()
        self._run(self._task)
        self._loop.close()


@pytest.mark.parametrize("nested", [False, True], ids=["in it", "in one over it"])
@pytest.mark.parametrize("outer", ["decorator", "function"])
def test_a_block_begun_while_a_function_runs_and_ended_after_it(outer, nested):
    """The function's event loop stops, and goes on when the function has ended."""
    ours, between, theirs = Cells(), Cells(), Cells()
    paused = Paused(theirs)

    async def task():
        def body():
            between.put(1)
            paused.enter()
            assert between.seen() == (1, 1)

        atomically(body)

    def body():
        ours.put(1)
        if nested:
            in_a_loop(task)
        else:
            paused.enter()
        assert ours.seen() == (1, 1)
        ours.put(2)

    transact(outer, body)
    assert ours.seen() == (2, 2)
    assert theirs.seen() == (0, 0)
    atomically(ours.put, 3)
    assert ours.seen() == (3, 3)
    paused.finish()
    assert theirs.seen() == (4, 4)


def test_a_commute_while_a_block_is_open():
    ours = Cells()

    def touches(value):
        return ours.seen()

    with pytest.raises(CommuteError), dosync():
        ours.put(1)
        ours.ref.commute(touches)
        ours.ref.deref()
    with dosync():
        ours.ref.commute(lambda n: n + 5)
        assert ours.ref.deref() == 5
        assert ours.are_inside()
    assert ours.seen() == (5, 0)


def test_the_seat_of_a_thread_that_ended_is_given_up():
    idents = []

    def body():
        atomically(Ref(0).set, 1)
        idents.append(get_ident())
        assert get_ident() in seats

    start(body).join()
    until(lambda: idents[0] not in seats)


def test_a_thread_with_the_ident_of_a_dead_one_has_a_seat_of_its_own():
    """Idents are used again at once: here, as long as threads come one by one."""
    found = []

    def body():
        atomically(Ref(0).set, 1)
        found.append((get_ident(), seats[get_ident()].thread))

    for _ in range(20):
        thread = threading.Thread(target=body)
        thread.start()
        thread.join()
    assert len(set(found)) == 20, "no record was used twice"


@pytest.mark.parametrize("late", [True, False])
@pytest.mark.parametrize("form", FORMS)
def test_a_thread_that_uses_refs_in_its_very_last_finalizers(form, late):
    """Its `threading.local` is cleared, that of the library maybe before.

    The next thread has the same ident, and found the seat that was left behind.
    """
    ref, used, local = Ref(0), [], threading.local()

    class Last:
        def __del__(self):
            used.append(transact(form, add))

    def add():
        return ref.alter(lambda n: n + 1)

    def body():
        if not late:
            local.last = Last()
        transact(form, add)
        if late:
            local.last = Last()
        found.append((get_ident(), transact("block", add), transact("function", add)))

    records, found = len(registry.records), []
    for _ in range(10):
        thread = threading.Thread(target=body)
        thread.start()
        thread.join()
    assert len(found) == 10
    assert len({ident for ident, *_ in found}) < 10, "no ident was used twice"
    assert len(used) == 10
    assert ref.deref() == 40
    assert len(registry.records) <= records + 3, "they are not left behind"


def test_a_token_that_outlives_its_thread_ends_no_later_one():
    """Somebody keeps it, and drops it while the next thread with that ident runs."""
    kept, found = [], []

    def first():
        atomically(Ref(0).set, 1)
        kept.append((get_ident(), my_record(), _registry._local.token))

    def later():
        ident, record = kept[0][:2]
        if get_ident() != ident:
            return
        ref = Ref(0)
        with dosync():
            ref.set(1)
            kept.clear()
            gc.collect()
            ref.set(2)
        found.append((my_record() is record, record.dead, ref.deref()))

    threads = [threading.Thread(target=first)]
    threads += [threading.Thread(target=later) for _ in range(20)]
    for thread in threads:
        if not found:
            thread.start()
            thread.join()
    assert found == [(True, False, 2)]


def test_what_is_being_imported_is_not_picked_up(monkeypatch):
    """Another thread imports asyncio, whose functions are replaced at the end."""
    module = ModuleType("asyncio.tasks")
    module.__spec__ = ModuleSpec("asyncio.tasks", None)
    module.current_task = lambda loop: pytest.fail("it was replaced later")
    module.__spec__._initializing = True
    monkeypatch.setitem(sys.modules, "asyncio.tasks", module)
    monkeypatch.setattr(Asyncio, "running_loop", object)
    monkeypatch.setattr(Asyncio, "current_task", None)
    cells = Cells()
    with dosync():
        cells.put(1)
    assert cells.seen() == (1, 1)
    assert Asyncio.current_task is None
    module.current_task = asyncio.tasks.current_task
    module.__spec__._initializing = False
    with dosync():
        cells.put(2)
    assert cells.seen() == (2, 2)
    assert Asyncio.current_task is module.current_task


def test_another_thread_makes_the_next_attempt_of_a_loop():
    """A generator that pauses between attempts may go on in any thread."""
    cells, other, tries = Cells(), Ref(0), []

    def loop():
        for tx in dosync():
            yield
            with tx:
                tries.append(get_ident())
                cells.put(other.deref())
                if len(tries) == 1:
                    elsewhere(atomically, other.set, 1)

    steps = loop()
    next(steps)
    next(steps)
    assert elsewhere(next, steps, "done") == "done"
    assert cells.seen() == (1, 1)
    assert len(set(tries)) == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_after_a_fork_the_child_has_its_own_seat_only():
    parked, go_on = threading.Event(), threading.Event()

    def other():
        atomically(Ref(0).set, 1)
        parked.set()
        assert go_on.wait(PATIENCE)

    job = start(other)
    assert parked.wait(PATIENCE)
    ref = Ref(0)

    def body():
        ref.set(1)
        child = os.fork()
        if child == 0:
            right = list(seats) == [get_ident()] and ref.deref() == 1
            os._exit(0 if right else 1)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    try:
        assert atomically(body) == 0
    finally:
        go_on.set()
        job.join()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_after_a_fork_nobody_sits_where_a_thread_was_that_looked_for_its_record():
    """It had its token in a frame, which nobody ends in the child.

    A new thread of the child has, in most cases, the ident of one of the parent.
    """
    parked, go_on, ref = threading.Event(), threading.Event(), Ref(0)

    def looks(frame):
        return frame.f_code is my_record.__code__ and "token" in frame.f_locals

    def park():
        parked.set()
        assert go_on.wait(PATIENCE)

    def body():
        ref.set(1)
        stopped_once(my_record, looks, park)

    job = start(atomically, body)
    assert parked.wait(PATIENCE)
    try:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                sys.settrace(None)
                threading.settrace(None)
                found = [elsewhere(ref.deref) for _ in range(3)]
                status = 0 if found == [0, 0, 0] else 2
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        go_on.set()
        job.join()


def test_blocks_are_noted_in_a_seat_that_is_made_late():
    """As when a fork, or the end of a thread's locals, has taken the seat away."""
    cells = Cells()
    with dosync():
        cells.put(1)
        del seats[get_ident()]
        assert cells.seen() == (1, 1)
        assert seats[get_ident()].tx is BLOCKS
    assert cells.seen() == (1, 1)


@pytest.mark.parametrize("form", ["decorator", "function"])
def test_where_the_loop_is_hidden_the_task_is_another_one(form):
    """Who runs another loop in the middle of a task hides the outer one first."""
    cells = Cells()

    def body():
        cells.put(1)
        outer = asyncio._get_running_loop()
        asyncio._set_running_loop(None)
        try:
            seen = cells.seen()
            inside = cells.are_inside(), _alter_works(cells)
        finally:
            asyncio._set_running_loop(outer)
        return seen, inside, cells.seen()

    async def main():
        return transact(form, body)

    assert asyncio.run(main()) == ((0, 0), (False, False), (1, 1))


def _alter_works(cells):
    try:
        cells.ref.alter(lambda n: n)
    except NoTransactionError:
        return False
    return True


@pytest.mark.parametrize("inner", ["loop", "block"])
@pytest.mark.parametrize("outer", FORMS)
def test_outside_stays_outside_after_a_block_of_its_own(outer, inner):
    """That block has had the thread look into the context, where the outer one is."""
    seen, count, lost = Cells(), Ref(0), Ref(0)

    def alone():
        transact(inner, seen.seen, read_only=True)
        assert not seen.are_inside()
        atomically(count.alter, lambda n: n + 1)
        in_a_loop(lambda: sit_for_a_while(seen))
        assert not seen.are_inside()

    def body():
        lost.set(1)
        outside(alone)
        assert lost.deref() == 1
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        transact(outer, body)
    assert (count.deref(), lost.deref()) == (1, 0)


async def sit_for_a_while(cells):
    with dosync(read_only=True):
        cells.seen()
