"""Guarantee 7: no user code runs while anything is locked or held.

Each function that a user can hand in uses the same cells in another thread and
waits for it. Were a lock held meanwhile, that thread would never end.
"""

from __future__ import annotations

import asyncio
import gc
import threading
from contextvars import Context

import pytest
from helpers import (
    CELLS,
    FORMS,
    RERUN_FORMS,
    Attempts,
    Parked,
    blocked,
    commit,
    elsewhere,
    put,
    run_threads,
    start,
    transact,
)

from atomos import Atom, Ref, atomically, dosync, outside
from atomos.errors import ValidationError, WouldDeadlockError


class Busy:
    """Uses some cells in each way, from another thread, and counts its calls."""

    def __init__(self, *cells, times=1):
        self.cells = cells
        self.times = times
        self.calls = 0

    def __call__(self, *args):
        self.calls += 1
        if self.calls <= self.times:
            elsewhere(self._use)
        return True

    def _use(self):
        for cell in self.cells:
            cell.deref()
            for form in FORMS:
                transact(form, lambda cell=cell: put(cell, cell.deref()))
            transact("block", cell.deref, read_only=True)
            if isinstance(cell, Atom):
                cell.swap(lambda value: value)
                cell.compare_and_set(cell.deref(), cell.deref())
            else:
                assert cell.history_count >= 0
                cell.trim_history()
            cell.add_watch("busy", lambda *args: None)
            cell.remove_watch("busy")
            cell.reset_meta(None)
            repr(cell)


@pytest.fixture(params=[(a, b) for a in CELLS for b in CELLS], ids="-".join)
def pair(request):
    return [CELLS[kind](0) for kind in request.param]


@pytest.mark.parametrize("form", RERUN_FORMS)
def test_a_body(pair, form):
    busy = Busy(*pair)

    def body():
        pair[0].deref()
        put(pair[1], 1)
        busy()

    transact(form, body)
    assert busy.calls >= 1


@pytest.mark.parametrize("form", RERUN_FORMS)
def test_a_validator(pair, form):
    busy = Busy(*pair)
    for cell in pair:
        cell.set_validator(busy)
    busy.calls = 0
    transact(form, lambda: [put(cell, 1) for cell in pair])
    assert busy.calls >= 2
    assert [cell.deref() for cell in pair] == [1, 1]


def test_a_validator_whose_answer_is_busy(pair):
    """Whatever `bool` of its answer runs."""
    cell, busy = pair[0], Busy(*pair)

    class Answer:
        __bool__ = busy.__call__

    cell.set_validator(lambda value: Answer())
    busy.calls = 0
    commit(cell, 1)
    assert busy.calls >= 1


def test_a_validator_of_a_commute():
    ref = Ref(0)
    busy = Busy(ref)
    ref.set_validator(busy)
    busy.calls = 0
    atomically(ref.commute, lambda n: n + 1)
    assert ref.deref() == 1
    assert busy.calls >= 1


def test_a_validator_when_it_is_set(pair):
    busy = Busy(*pair)
    pair[0].set_validator(busy)
    assert busy.calls >= 1


@pytest.mark.parametrize("call", ["swap", "reset", "compare_and_set"])
def test_a_validator_of_an_atom_alone(call):
    atom = Atom(0)
    busy = Busy(atom)
    atom.set_validator(busy)
    busy.calls = 0
    {
        "swap": lambda: atom.swap(lambda n: n + 1),
        "reset": lambda: atom.reset(1),
        "compare_and_set": lambda: atom.compare_and_set(0, 1),
    }[call]()
    assert busy.calls >= 1
    assert atom.deref() == 1


@pytest.mark.parametrize("form", FORMS)
def test_a_watch(pair, form):
    busy = Busy(*pair)
    for cell in pair:
        cell.add_watch("test", busy)
    transact(form, lambda: [put(cell, 1) for cell in pair])
    assert busy.calls > 2
    assert [cell.deref() for cell in pair] == [1, 1]


def test_a_watch_of_an_atom_alone():
    atom = Atom(0)
    busy = Busy(atom)
    atom.add_watch("test", busy)
    assert atom.swap(lambda n: n + 1) == 1
    assert busy.calls > 2


def test_a_commute(pair):
    ref = Ref(0)
    busy = Busy(ref, *pair)

    @dosync
    def body():
        put(pair[0], 1)
        ref.commute(lambda n: busy() and n + 1)
        pair[1].deref()

    body()
    assert ref.deref() == 1
    assert busy.calls >= 2, "the ref was committed meanwhile, so it ran again"


def test_an_alter_and_a_swap(pair):
    busy = Busy(*pair)

    @dosync
    def body():
        for cell in pair:
            change = cell.alter if isinstance(cell, Ref) else cell.swap
            change(lambda n: busy() and n + 1)

    body()
    assert [cell.deref() for cell in pair] == [1, 1]


def test_a_swap_alone():
    atom = Atom(0)
    busy = Busy(atom, times=3)
    assert atom.swap(lambda n: busy() and n + 1) == 1
    assert busy.calls == 4


@pytest.mark.parametrize("inside", [False, True])
def test_equality(inside):
    atom, ref = Atom(0), Ref(0)
    busy = Busy(atom, ref)

    class Picky:
        __hash__ = None

        def __eq__(self, other):
            return busy()

    atom.reset(Picky())

    @dosync
    def body():
        ref.set(1)
        return atom.compare_and_set("anything", 1)

    done = body() if inside else atom.compare_and_set("anything", 1)
    assert done is True
    assert atom.deref() == 1
    assert busy.calls >= 2


def test_equality_is_not_asked_elsewhere(pair):
    """Reads, writes and validation go by identity."""

    class Never:
        __hash__ = None

        def __eq__(self, other):
            raise AssertionError("compared")

    tries = Attempts()

    @dosync
    def body():
        tries.begin()
        for cell in pair:
            cell.deref()
            put(cell, Never())
        tries.once(commit, pair[0], Never())

    body()
    assert tries.count == 2


def test_a_function_for_metadata(pair):
    busy = Busy(*pair, times=2)
    # The metadata are set meanwhile, by `busy`, so it runs again.
    assert pair[0].alter_meta(lambda meta: busy() and 7) == 7


# Finalizers


class Last:
    """A value that does something when it dies."""

    def __init__(self, busy):
        self.busy = busy

    def __del__(self):
        self.busy()


@pytest.mark.parametrize("form", FORMS)
def test_del_of_a_displaced_value(pair, form):
    busy = Busy(*pair, times=9)
    commit(pair[0], Last(busy), pair[1], Last(busy))
    transact(form, lambda: [put(cell, 1) for cell in pair])
    gc.collect()
    assert busy.calls == 2
    assert [cell.deref() for cell in pair] == [1, 1]


@pytest.mark.parametrize("call", ["swap", "reset", "compare_and_set"])
def test_del_of_what_an_atom_alone_displaced(call):
    atom, other = Atom(0), Ref(0)
    busy = Busy(atom, other)
    atom.reset(Last(busy))
    if call == "swap":
        atom.swap(lambda _: 1)
    elif call == "reset":
        old = [atom.reset(1)]
        assert busy.calls == 0
        old.clear()
    else:
        assert atom.compare_and_set(atom.deref(), 1)
    gc.collect()
    assert busy.calls == 1


@pytest.mark.parametrize("isolation", ["serializable", "snapshot"])
@pytest.mark.parametrize("kinds", [(a, b) for a in CELLS for b in CELLS])
def test_del_of_a_value_of_a_lost_attempt(kinds, isolation):
    """It was linked already when the attempt was lost: it must not die later on,
    in the middle of another commit.
    """
    x, y, z = Ref(0), *(CELLS[kind](0) for kind in kinds)
    busy, tries = Busy(y, z), Attempts()

    @dosync(isolation=isolation)
    def body():
        tries.begin()
        x.ensure()
        if tries.count == 1:
            put(y, Last(busy))
            elsewhere(commit, x, 1)

    body()
    elsewhere(commit, z, 1, y, 2)
    gc.collect()
    assert busy.calls == 1
    assert tries.count == 2


def test_del_of_a_value_of_a_lost_attempt_in_the_thread_of_the_commit():
    """It commits itself, in the thread whose commit let it die."""
    x, y, z, log = Ref(0), Ref(0), Ref(0), []
    tries = Attempts()

    class Value:
        def __del__(self):
            try:
                commit(z, "last")
            except Exception as error:
                log.append(error)
            else:
                log.append("committed")

    @dosync
    def body():
        tries.begin()
        x.deref()
        if tries.count == 1:
            y.set(Value())
            elsewhere(commit, x, 1)

    body()
    commit(z, 1, y, 2)
    gc.collect()
    assert log == ["committed"]


def test_del_of_a_version_that_goes_from_the_history():
    ref, other = Ref(0), Ref(0)
    busy = Busy(ref, other, times=9)
    readers = []

    def park():
        def run(park):
            @dosync
            def body():
                ref.deref()
                park()

            body()

        readers.append(Parked(run))

    for _ in range(4):
        commit(ref, Last(busy))
        park()
    commit(ref, 1)
    assert busy.calls == 0
    assert ref.history_count == 4
    for reader in readers[:2]:
        reader.finish()
    ref.trim_history()
    gc.collect()
    assert busy.calls >= 2
    for reader in readers[2:]:
        reader.finish()
    commit(ref, 2)
    gc.collect()
    assert busy.calls == 4
    assert ref.history_count == 0


def test_del_that_uses_the_history_of_the_same_ref(often):
    """Finalizers run by the garbage collector, at any point of a commit."""
    ref = Ref(0)
    errors = []

    class Cycle:
        def __init__(self):
            self.me = self

        def __del__(self):
            try:
                outside(use)
            except WouldDeadlockError:
                pass  # said at once, instead of hanging
            except BaseException as error:
                errors.append(error)

    def use():
        atomically(ref.deref)
        commit(ref, 1)
        ref.trim_history()

    def work():
        for n in range(150):
            Cycle()
            commit(ref, n)
            atomically(lambda: [ref.deref(), Cycle()].clear())

    before = gc.get_threshold()
    gc.set_threshold(5)
    try:
        run_threads(work, work)
    finally:
        gc.set_threshold(*before)
    gc.collect()
    assert errors == []
    commit(ref, "end")
    ref._check()
    assert ref.history_count == 0


def test_a_finalizer_in_a_block_that_holds_what_it_needs():
    """It says so at once, and the block goes on."""
    ref, errors = Ref(0, name="busy"), []

    class Value:
        def __del__(self):
            def task():
                with pytest.raises(WouldDeadlockError) as caught:
                    commit(ref, "no")
                errors.append(str(caught.value))

            outside(task)

    with dosync(name="the block"):
        ref.set(1)
        value = Value()
        del value
        gc.collect()
    assert ref.deref() == 1
    assert len(errors) == 1
    assert "busy" in errors[0]
    assert "the block" in errors[0]


def test_other_threads_may_hold_their_own_locks():
    """A body that takes a lock of the user's, and a watch that takes it too."""
    ref, lock = Ref(0), threading.Lock()

    def watch(key, ref, old, new):
        with lock:
            pass

    ref.add_watch("lock", watch)

    def locked():
        with lock:
            return ref.deref()

    def write():
        for n in range(50):
            atomically(ref.set, n)

    def read():
        for _ in range(50):
            locked()
            atomically(locked)

    run_threads(write, write, read)
    assert ref.deref() == 49


# Tasks of one thread


def hold_and_await(other):
    """Run `other`, a coroutine function, while a task is in a plain block."""
    ref, atom = Ref(0, name="busy"), Atom(0, name="busy atom")
    outcome = []

    async def holder(go, done):
        with dosync(name="the block"):
            ref.set(1)
            atom.reset(1)
            go.set()
            await done.wait()

    async def second(go, done):
        await go.wait()
        try:
            outcome.append(await other(ref, atom))
        finally:
            done.set()

    async def main():
        go, done = asyncio.Event(), asyncio.Event()
        await asyncio.wait_for(asyncio.gather(holder(go, done), second(go, done)), 30)

    elsewhere(asyncio.run, main())
    assert (ref.deref(), atom.deref()) == (1, 1)
    return outcome[0]


TASKS = {
    "commit": lambda ref, atom: commit(ref, 2),
    "commit of an atom": lambda ref, atom: commit(atom, 2),
    "swap": lambda ref, atom: atom.swap(lambda n: 2),
    "reset": lambda ref, atom: atom.reset(2),
    "compare_and_set": lambda ref, atom: atom.compare_and_set(0, 2),
    "loop": lambda ref, atom: transact("loop", lambda: ref.set(2)),
    "block": lambda ref, atom: transact("block", lambda: Ref(0).set(2)),
}


@pytest.mark.parametrize("name", TASKS)
def test_another_task_that_needs_what_the_block_holds(name):
    async def other(ref, atom):
        with pytest.raises(WouldDeadlockError, match="the block"):
            TASKS[name](ref, atom)
        return True

    assert hold_and_await(other)


def test_another_task_may_read():
    async def other(ref, atom):
        return ref.deref(), atomically(lambda: (ref.deref(), atom.deref()))

    assert hold_and_await(other) == (0, (0, 0))


def test_another_thread_may_wait_for_a_block_that_awaits():
    """The block ends, since the loop of its thread is free to go on."""
    waiting = []

    async def other(ref, atom):
        waiting.append(start(commit, Ref(0), 1))
        waiting[0].join()
        return True

    assert hold_and_await(other)


def test_waiting_for_oneself_through_the_queue():
    """Another thread's block stands between: it waits for ours, and we for it."""
    ref, context, errors = Ref(0), Context(), []

    def block():
        with dosync():
            yield

    def behind():
        with dosync():
            ref.set(1)

    def run():
        ours = block()
        context.run(next, ours)
        other = start(behind)
        blocked(other)
        with pytest.raises(WouldDeadlockError, match="which waits for"):
            with dosync():
                errors.append("ran")
        context.run(ours.close)
        other.join()

    elsewhere(run)
    assert errors == []
    assert ref.deref() == 1


@pytest.mark.parametrize("what", ["validator", "watch"])
def test_what_is_set_while_swap_computes_counts(what):
    atom, seen = Atom(0), []

    def refuse(value):
        return value < 1

    def fn(value):
        if what == "validator":
            elsewhere(atom.set_validator, refuse)
        else:
            elsewhere(atom.add_watch, "key", lambda *args: seen.append(args[2:]))
        return value + 1

    if what == "validator":
        with pytest.raises(ValidationError):
            atom.swap(fn)
        assert atom.deref() == 0
    else:
        assert atom.swap(fn) == 1
        assert seen == [(0, 1)]
