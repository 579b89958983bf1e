"""Guarantee 9: a transaction belongs to one thread and one task.

Whoever inherits its context, but is another thread or task, is outside of it.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context, copy_context

import pytest
from helpers import CELLS, FORMS, PATIENCE, elsewhere, put, transact

from atomos import Atom, Ref, atomically, dosync
from atomos.errors import NoTransactionError


class Refused(Exception):
    pass


class World:
    """A transaction that has written a cell, and what others see of it."""

    def __init__(self):
        self.ref = Ref("old", name="the ref")
        self.atom = Atom("old")
        self.other = Ref(0)

    def write(self):
        self.ref.set("new")
        self.atom.reset("new")

    def outside(self):
        """Assert that the caller is outside."""
        for call in (
            lambda: self.ref.set("no"),
            lambda: self.ref.alter(str),
            lambda: self.ref.commute(str),
            self.ref.ensure,
        ):
            with pytest.raises(NoTransactionError, match="the ref"):
                call()
        assert (self.ref.deref(), self.atom.deref()) == ("old", "old")
        with dosync(read_only=True):
            assert (self.ref.deref(), self.atom.deref()) == ("old", "old")
        assert atomically(lambda: self.ref.deref()) == "old"
        return "outside"

    def own_transaction(self):
        """A transaction of its own, on something else."""
        atomically(self.other.alter, lambda n: n + 1)
        return "outside"

    def inside(self):
        """Assert that the caller is inside."""
        assert self.ref.ensure() == self.atom.deref() == "new"


def in_thread(fn):
    return elsewhere(fn)


def in_thread_with_context(fn):
    context = copy_context()
    return elsewhere(lambda: context.run(fn))


def in_executor(fn):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(fn).result(PATIENCE)


def in_executor_with_context(fn):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(copy_context().run, fn).result(PATIENCE)


OTHERS = [in_thread, in_thread_with_context, in_executor, in_executor_with_context]


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("form", FORMS)
def test_another_thread_is_outside(form, other):
    world = World()

    def body():
        world.write()
        # A plain block holds the ref, so `alter` would wait, were it inside.
        assert other(world.outside) == "outside"
        world.inside()
        if form != "block":
            assert other(world.own_transaction) == "outside"

    transact(form, body)
    assert (world.ref.deref(), world.atom.deref()) == ("new", "new")
    assert world.other.deref() == (0 if form == "block" else 1)


@pytest.mark.parametrize("form", FORMS)
def test_the_same_context_in_the_same_thread_is_inside(form):
    """As with a decimal context: `copy_context().run` goes on with the task."""
    ref, other = Ref(0), Ref(0)

    def body():
        copy_context().run(ref.set, 1)
        assert ref.deref() == 1
        if form in ("loop", "block"):
            with pytest.raises(NoTransactionError):
                Context().run(other.set, 2)
            Context().run(atomically, other.set, 3)
            with pytest.raises(NoTransactionError):
                Context().run(other.set, 4)
        else:
            Context().run(atomically, other.set, 3)
        assert copy_context().run(ref.deref) == 1

    transact(form, body)
    assert (ref.deref(), other.deref()) == (1, 3)


@pytest.mark.parametrize("form", ["decorator", "function"])
def test_what_a_function_calls_is_inside_in_any_context(form):
    ref, atom = Ref(0), Atom(0)

    def body():
        Context().run(ref.set, 1)
        Context().run(atom.reset, 1)
        assert elsewhere(atom.deref) == 0
        raise Refused

    with pytest.raises(Refused):
        transact(form, body)
    assert (ref.deref(), atom.deref()) == (0, 0)


@pytest.mark.parametrize("form", FORMS)
def test_a_context_copied_inside_is_outside_when_it_has_ended(form):
    ref, contexts = Ref(0), []
    transact(form, lambda: contexts.append(copy_context()))
    for run in (
        contexts[0].run,
        lambda fn, *args: elsewhere(contexts[0].run, fn, *args),
    ):
        with pytest.raises(NoTransactionError):
            run(ref.set, 1)
        assert run(ref.deref) == 0
        run(atomically, ref.alter, lambda n: n + 1)
        assert ref.deref() == 1
        atomically(ref.set, 0)


@pytest.mark.parametrize("form", ["decorator", "function"])
def test_a_context_copied_inside_is_inside_of_the_next_one_too(form):
    """What a function calls in its thread is a part of it, in any copied context."""
    first, second, contexts = Ref(0), Ref(0), []

    @dosync(max_attempts=5)
    def next_one():
        contexts[0].run(second.set, 1)
        assert second.deref() == 1
        second.set(2)
        assert contexts[0].run(second.deref) == 2

    def body():
        first.deref()
        contexts.append(copy_context())

    transact(form, body)
    next_one()
    assert second.deref() == 2


@pytest.mark.parametrize("form", ["loop", "block"])
def test_a_context_copied_in_a_block_is_outside_of_the_next_one(form):
    """A block may be left for a while, so its context alone is inside of it."""
    first, second, contexts = Ref(0), Ref(0), []

    def next_one():
        second.set(1)
        with pytest.raises(NoTransactionError):
            contexts[0].run(second.set, 2)
        # A plain block holds it, so nobody can read on; but nothing of it shows.
        assert contexts[0].run(second.deref) == 0

    def body():
        first.deref()
        contexts.append(copy_context())

    transact(form, body)
    transact(form, next_one)
    assert second.deref() == 1


@pytest.mark.parametrize("form", FORMS)
def test_a_context_copied_inside_is_outside_during_the_commit(form):
    """A validator runs in the commit: nothing can be added to it any more."""
    ref, other, contexts, seen = Ref(0), Ref(0), [], []

    def validator(value):
        if contexts:
            with pytest.raises(NoTransactionError):
                contexts[0].run(other.set, 1)
            seen.append(contexts[0].run(ref.deref))
        return True

    ref.set_validator(validator)

    def body():
        ref.set(5)
        contexts.append(copy_context())

    if form == "block":  # it runs once, and is still holding
        with dosync():
            body()
    else:
        transact(form, body)
    assert other.deref() == 0
    assert seen == [0]


# asyncio


def run(main):
    return elsewhere(asyncio.run, main)


@pytest.mark.parametrize("form", ["block", "loop"])
def test_a_task_made_inside_is_outside(form):
    world = World()

    async def child():
        return world.outside()

    async def main():
        if form == "block":
            with dosync():
                world.write()
                task = asyncio.create_task(child())
                result = await asyncio.wait_for(task, PATIENCE)
                world.inside()
        else:
            for tx in dosync():
                with tx:
                    world.write()
                    task = asyncio.create_task(child())
                    result = await asyncio.wait_for(task, PATIENCE)
                    world.inside()
        return result

    assert run(main()) == "outside"
    assert world.ref.deref() == "new"


def test_to_thread_is_outside():
    world = World()

    async def main():
        with dosync():
            world.write()
            result = await asyncio.to_thread(world.outside)
            world.inside()
        return result

    assert run(main()) == "outside"
    assert world.ref.deref() == "new"


def test_run_in_executor_is_outside():
    world = World()

    async def main():
        loop = asyncio.get_running_loop()
        with dosync():
            world.write()
            result = await loop.run_in_executor(None, world.outside)
            world.inside()
        return result

    assert run(main()) == "outside"


def test_a_callback_is_outside():
    world = World()

    async def main():
        loop, called = (
            asyncio.get_running_loop(),
            asyncio.get_running_loop().create_future(),
        )
        with dosync():
            world.write()
            loop.call_soon(lambda: called.set_result(world.outside()))
            result = await asyncio.wait_for(called, PATIENCE)
            world.inside()
        return result

    assert run(main()) == "outside"
    assert world.ref.deref() == "new"


def test_what_is_awaited_directly_is_inside():
    world = World()

    async def part():
        world.write()
        return world.ref.deref()

    async def main():
        with dosync():
            result = await part()
            world.inside()
        return result

    assert run(main()) == "new"
    assert world.ref.deref() == "new"


def test_tasks_with_transactions_of_their_own():
    """Ordinary ones, which do not await inside, never disturb each other."""
    cells = [CELLS[kind](0) for kind in ("ref", "atom")]

    @dosync
    def add():
        for cell in cells:
            put(cell, cell.deref() + 1)

    async def worker():
        for _ in range(20):
            add()
            await asyncio.sleep(0)
            with dosync():
                add()

    async def main():
        await asyncio.wait_for(asyncio.gather(*(worker() for _ in range(5))), PATIENCE)

    run(main())
    assert [cell.deref() for cell in cells] == [200, 200]


def test_two_tasks_each_in_a_reading_block():
    """Each task keeps its own snapshot while the other one runs."""
    ref, seen = Ref(0), []

    async def reader(turn, following):
        with dosync(read_only=True):
            seen.append(ref.deref())
            following.set()
            await turn.wait()
            seen.append(ref.deref())
            with pytest.raises(NoTransactionError):
                await asyncio.create_task(outside())

    async def outside():
        ref.set(1)

    async def writer(first, second):
        await first.wait()
        atomically(ref.set, 1)
        second.set()

    async def main():
        go, parked = asyncio.Event(), asyncio.Event()
        await asyncio.wait_for(
            asyncio.gather(reader(go, parked), writer(parked, go)), PATIENCE
        )

    run(main())
    assert seen == [0, 0]


FIRST_IMPORT = """
import sys
from atomos import Ref, atomically, dosync
from atomos.errors import NoTransactionError


class Refused(Exception):
    pass

assert "asyncio" not in sys.modules
ref, seen = Ref(0), []

def body():
    import asyncio

    async def main():
        try:
            ref.set("inside")
        except NoTransactionError:
            seen.append("outside")

    ref.set(1)
    asyncio.run(main())

{run}
assert seen == ["outside"], seen
assert ref.deref() == 1, ref
"""
RUNS = {
    "function": "atomically(body)",
    "decorator": "dosync(body)()",
    "loop": "for tx in dosync():\n    with tx:\n        body()",
    "block": "with dosync():\n    body()",
}


@pytest.mark.parametrize("form", FORMS)
def test_a_body_that_imports_asyncio_first(form):
    code = FIRST_IMPORT.format(run=RUNS[form])
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize("form", FORMS)
def test_a_new_event_loop_inside(form):
    """`asyncio.run` in a transaction: its tasks are outside."""
    world = World()

    async def main():
        return world.outside()

    def body():
        world.write()
        assert asyncio.run(main()) == "outside"
        world.inside()

    elsewhere(transact, form, body)
    assert world.ref.deref() == "new"


def test_a_generator_that_is_begun_elsewhere():
    """A transaction inside a generator belongs to the thread that began it."""
    ref = Ref(0)

    def generator():
        with dosync(read_only=True):
            yield ref.deref()
            yield ref.deref()

    running = generator()
    assert next(running) == 0
    elsewhere(atomically, ref.set, 1)
    # In another thread it is outside: the newest value, not the snapshot.
    assert elsewhere(next, running) == 1
    running.close()


def test_a_thread_started_inside_and_living_on():
    ref, go, seen = Ref(0), threading.Event(), []
    threads = []

    def run():
        assert go.wait(PATIENCE)
        try:
            ref.set(2)
        except NoTransactionError:
            seen.append("outside")

    @dosync
    def body():
        ref.set(1)
        threads.append(threading.Thread(target=run))
        threads[-1].start()

    body()
    go.set()
    for thread in threads:
        thread.join(PATIENCE)
    assert seen == ["outside"]
    assert ref.deref() == 1


def test_a_thread_with_the_ident_of_one_that_ended_is_outside():
    """Idents are used again; a generator keeps the block of a dead thread open."""
    ref, kept = Ref(0), {}

    def generator():
        with dosync():
            ref.set(99)
            kept["context"] = copy_context()
            yield

    def first():
        kept["generator"] = generator()
        next(kept["generator"])
        return threading.get_ident()

    ident = elsewhere(first)
    for _ in range(50):
        now, value = elsewhere(
            lambda: (threading.get_ident(), kept["context"].run(ref.deref))
        )
        assert value == 0
        if now == ident:
            break
    kept["generator"].close()
