"""Contexts copied inside of a transaction, into threads, executors and asyncio tasks.

A copy of the context takes the way to the transaction along, so each visitor who runs
in it must be told outside: it reads what was there before, and what it writes is a
transaction of its own. All ways run in several threads at once. In each round a
transaction writes a secret, calls visitors, and is undone; what the visitors have
written must stay.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import Context, copy_context
from functools import partial
from typing import Any

from helpers import PATIENCE, elsewhere, run_threads

from atomos import Atom, Ref, atomically, current_transaction, dosync
from atomos.stm import _inside, _seat
from faults.aftermath import nothing_left
from faults.campaign import Campaign, Figure, Load, none, seen

#: Threads that do this at the same time.
THREADS = 4
SECRET = "secret"


class Undone(Exception):
    """Ends each transaction that has written a secret."""


class World:
    """The cells of one thread, and what its visitors have found.

    Attributes:
        secret: A ref and an atom that only undone transactions write.
        visits: A ref and an atom that each visitor writes.
        called: How many visitors have come.
        inside: How many of them were inside of somebody else's transaction.
    """

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self.pool = pool
        self.secret = Ref("none", name="secret"), Atom("none")
        self.visits = Ref(0, name="visits"), Atom(0)
        self.called = self.inside = 0
        self._lock = threading.Lock()

    def visit(self) -> None:
        """Look whether this is inside of a transaction; write in one of its own."""
        ref, atom = self.secret
        inside = current_transaction() is not None
        inside |= ref.deref() == SECRET or atom.deref() == SECRET
        for tx in dosync():
            with tx:
                inside |= ref.deref() == SECRET
                self.visits[0].alter(lambda n: n + 1)
        self.visits[1].swap(lambda n: n + 1)
        with self._lock:
            self.called += 1
            self.inside += inside

    def lost(self) -> int:
        """Return how many writes of visitors are not there."""
        return sum(self.called - cell.deref() for cell in self.visits)

    def leaked(self) -> int:
        """Return how many secrets can be seen."""
        return sum(cell.deref() != "none" for cell in self.secret)

    def write(self) -> None:
        self.secret[0].set(SECRET)
        self.secret[1].reset(SECRET)


# Visitors that are waited for inside of the transaction.


def in_a_thread(world: World) -> None:
    elsewhere(copy_context().run, world.visit)


def in_a_pool(world: World) -> None:
    world.pool.submit(copy_context().run, world.visit).result(PATIENCE)


def in_two_at_once(world: World) -> None:
    first, second = copy_context(), copy_context()
    run_threads(partial(first.run, world.visit), partial(second.run, world.visit))


def in_a_generator(world: World) -> None:
    """One that this thread has begun, and that another one goes on with."""

    def visits() -> Any:
        yield
        world.visit()
        yield

    steps = visits()
    next(steps)
    elsewhere(copy_context().run, next, steps)


NOW: tuple[Callable[[World], None], ...] = (
    in_a_thread,
    in_a_pool,
    in_two_at_once,
    in_a_generator,
)


def _call(world: World, fn: Callable[[], Any]) -> None:
    """Call `fn` in a transaction of each form that is undone."""
    for form in (_decorated, _atomically, _loop, _block):
        try:
            form(world, fn)
        except Undone:
            continue
        raise AssertionError("the transaction was not undone")


def _body(world: World, fn: Callable[[], Any]) -> None:
    world.write()
    fn()
    raise Undone


def _decorated(world: World, fn: Callable[[], Any]) -> None:
    dosync(_body)(world, fn)


def _atomically(world: World, fn: Callable[[], Any]) -> None:
    atomically(_body, world, fn)


def _loop(world: World, fn: Callable[[], Any]) -> None:
    for tx in dosync():
        with tx:
            _body(world, fn)


def _block(world: World, fn: Callable[[], Any]) -> None:
    with dosync():
        _body(world, fn)


def threads(world: World) -> None:
    """Visitors in other threads, while the transaction runs and when it is over."""
    for way in NOW:
        _call(world, partial(way, world))
    kept: list[Context] = []
    _call(world, lambda: kept.append(copy_context()))
    for context in kept:
        context.run(world.visit)
        elsewhere(context.run, world.visit)
    # And while the next transaction of the same thread runs.
    _call(world, lambda: elsewhere(kept[-1].run, world.visit))


# asyncio


async def _visit(world: World) -> None:
    world.visit()
    await asyncio.sleep(0)
    world.visit()


async def _to_thread(world: World) -> None:
    await asyncio.to_thread(world.visit)


async def _executor(world: World) -> None:
    await asyncio.get_running_loop().run_in_executor(world.pool, world.visit)


async def _task(world: World) -> None:
    await asyncio.create_task(_visit(world))


async def _callback(world: World) -> None:
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()
    loop.call_soon(lambda: done.set_result(world.visit()))
    await done


async def _from_a_thread(world: World) -> None:
    """A thread hands a coroutine to the loop."""
    loop = asyncio.get_running_loop()

    def hand_over() -> Future[None]:
        return asyncio.run_coroutine_threadsafe(_visit(world), loop)

    await asyncio.wrap_future(await asyncio.to_thread(hand_over))


WAYS: tuple[Callable[[World], Coroutine[Any, Any, None]], ...] = (
    _to_thread,
    _executor,
    _task,
    _callback,
    _from_a_thread,
)


async def _in_blocks(world: World) -> None:
    """Blocks that wait for the visitors."""
    for way in WAYS:
        try:
            with dosync():
                world.write()
                await asyncio.wait_for(way(world), PATIENCE)
                raise Undone
        except Undone:
            pass


async def _from_functions(world: World) -> None:
    """Functions cannot wait: their visitors come when they have ended."""
    made: list[asyncio.Task[None]] = []
    for way in WAYS:
        _call(world, lambda way=way: made.append(asyncio.create_task(way(world))))
    await asyncio.wait_for(asyncio.gather(*made), PATIENCE)


def tasks(world: World) -> None:
    """Visitors of an event loop."""

    async def all_of_it() -> None:
        # One after the other: a block holds its secret while it waits.
        await _in_blocks(world)
        await _from_functions(world)

    asyncio.run(all_of_it())


def run(load: Load) -> list[Figure]:
    """Let `load.amount` visitors come, in all ways."""
    with ThreadPoolExecutor(THREADS) as pool:
        worlds = [World(pool) for _ in range(THREADS)]
        done = 0
        while load.more(done):
            run_threads(*(partial(_round, world) for world in worlds))
            done = sum(world.called for world in worlds)
            load.say(f"{done:,} visitors")
    cells = [cell for one in worlds for cell in (*one.secret, *one.visits)]
    return [
        seen("visitors", done),
        none("inside of somebody else's transaction", _sum(worlds, "inside")),
        none("their writes that were undone with it", sum(w.lost() for w in worlds)),
        none("secrets that can be seen", sum(w.leaked() for w in worlds)),
        *nothing_left(cells),
    ]


def _round(world: World) -> None:
    threads(world)
    tasks(world)


def _sum(worlds: list[World], name: str) -> int:
    return sum(getattr(world, name) for world in worlds)


def inherited() -> None:
    """Who has a copy of a block's context is inside of the block."""
    before = _inside.new_seat

    def new_seat() -> _seat.Seat:
        seat = before()
        seat.tx = _seat.BLOCKS
        return seat

    _inside.new_seat = new_seat
    _inside.elsewhere = lambda seat: _seat.current.get().tx


CAMPAIGN = Campaign(
    "contexts",
    "visitors in copied contexts: threads, executors, asyncio tasks",
    run,
    200,
    20_000,
    (inherited,),
)
