"""Every feature of the library, each as a step that changes a small world.

A step is one transaction, or says where it has committed in between. So wherever it is
cut short, the world is in one of the states that it has had at those moments.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from agents import Manual, add

from atomos import (
    Atom,
    AtomicInteger,
    AtomicIntegerArray,
    AtomicReference,
    AtomicStampedReference,
    LongAdder,
    Ref,
    TransactionLocal,
    atomically,
    check,
    current_transaction,
    dosync,
    no_transaction,
    or_else,
    outside,
    retry,
)
from atomos.agent import Agent
from atomos.errors import (
    AgentFailedError,
    TransactionAborted,
    TransactionTimeout,
    ValidationError,
)
from atomos.stm._transaction import ESCALATE_AFTER


class World:
    """All cells of one run.

    Attributes:
        mark: Called by a step where it has committed, and goes on.
    """

    def __init__(self, mark: Callable[[], None] = lambda: None) -> None:
        self.mark = mark
        self.a, self.b, self.c = Ref(1), Ref(2), Ref(3)
        self.short = Ref(0, max_history=0)
        self.checked = Ref(1, validator=lambda n: n > 0)
        self.told: list[Any] = []
        self.checked.add_watch("told", lambda *change: self.told.append(change))
        self.atom, self.whole, self.adder = Atom(4), AtomicInteger(5), LongAdder()
        self.array = AtomicIntegerArray([6, 7])
        self.stamped, self.plain = AtomicStampedReference("x", 0), AtomicReference("y")
        self.pool = Manual()
        self.agent = Agent(0, executor=self.pool, error_handler=lambda *args: None)
        self.local = TransactionLocal(lambda: 0)
        self.hooked = 0

    @property
    def cells(self) -> list[Any]:
        """What `aftermath` looks at."""
        return [self.a, self.b, self.c, self.short, self.checked, self.atom]

    def values(self) -> tuple[Any, ...]:
        """Return what the transactions have left."""
        cells = [cell.deref() for cell in self.cells]
        others = (
            self.whole.get(),
            self.adder.sum(),
            self.array.get(0),
            self.array.get(1),
        )
        return (*cells, *others, self.stamped.get(), self.plain.get())

    def sent(self) -> Any:
        """Run what was sent to the agent; return its state."""
        self.pool.run_all()
        if self.agent.error is not None:
            self.agent.restart(self.agent.deref())
            self.pool.run_all()
        return self.agent.deref()


def call(world: World) -> None:
    @dosync
    def body() -> None:
        world.a.alter(add, world.b.deref())
        world.b.set(world.c.ensure())
        world.c.set(9)

    body()


def one_cell(world: World) -> None:
    atomically(world.a.alter, add)


def two_cells(world: World) -> None:
    atomically(lambda: (world.a.alter(add), world.b.alter(add, -1)))


def loop(world: World) -> None:
    for tx in dosync(name="loop"):
        with tx:
            world.a.set(world.b.deref() + tx.attempt)
            world.c.alter(add)


def block(world: World) -> None:
    with dosync(timeout=9.0):
        world.a.set(world.b.alter(add))
        world.atom.swap(add)


def block_that_reads(world: World) -> None:
    with dosync():
        world.a.deref()


def parts(world: World) -> None:
    @dosync
    def body() -> None:
        world.a.set(5)
        try:
            atomically(fail, world.a)
        except ZeroDivisionError:
            world.b.set(6)
        with dosync():
            world.c.commute(add)

    body()


def fail(ref: Ref[int]) -> None:
    ref.set(-1)
    raise ZeroDivisionError


def alternatives(world: World) -> None:
    @dosync
    def body() -> None:
        world.a.set(5)

        def first() -> None:
            world.b.set(-1)
            check(world.c.deref() == 0)

        or_else(first, lambda: world.b.set(6))

    body()


def commutes(world: World) -> None:
    @dosync
    def body() -> None:
        world.a.commute(add)
        world.a.commute(add)
        world.b.commute(add)
        world.c.set(world.b.deref())

    body()


def weak(world: World) -> None:
    @dosync(isolation="snapshot")
    def body() -> None:
        world.a.set(world.b.ensure() + world.c.deref())

    body()


def atom(world: World) -> None:
    world.atom.swap(add)


def atomics(world: World) -> None:
    @dosync
    def body() -> None:
        world.whole.add_and_get(2)
        world.adder.add(3)
        world.array.get_and_add(0, 4)
        world.stamped.set("z", 1)
        world.plain.set("z")

    body()


def atomics_alone(world: World) -> None:
    world.whole.add_and_get(2)
    world.mark()
    world.adder.add(3)
    world.mark()
    world.array.get_and_add(1, 4)
    world.mark()
    world.stamped.compare_and_set("x", "z", 0, 1)
    world.mark()
    world.plain.get_and_set("z")


def watched(world: World) -> None:
    atomically(lambda: (world.checked.alter(add), world.a.alter(add)))


def refused(world: World) -> None:
    try:
        atomically(lambda: (world.a.alter(add), world.checked.set(-1)))
    except ValidationError:
        pass


def extras(world: World) -> None:
    world.a.add_watch("key", lambda *change: None)
    world.a.set_validator(lambda n: True)
    atomically(world.a.alter, add)
    world.a.remove_watch("key")


def hooks(world: World) -> None:
    @dosync
    def body() -> None:
        tx = current_transaction()
        tx.before_commit(lambda: world.b.alter(add))
        tx.after_commit(lambda: setattr(world, "hooked", 1))
        tx.after_rollback(lambda: setattr(world, "hooked", 2))
        world.local.set(world.local.get() + 1)
        world.a.set(world.local.get())

    body()


def rolled_back(world: World) -> None:
    @dosync
    def body() -> None:
        current_transaction().after_rollback(lambda: setattr(world, "hooked", 2))
        fail(world.a)

    try:
        body()
    except ZeroDivisionError:
        pass


def send(world: World) -> None:
    world.agent.send(add)


def send_inside(world: World) -> None:
    atomically(lambda: (world.a.alter(add), world.agent.send(add)))


def agent_fails(world: World) -> None:
    world.agent.send(lambda n: 1 // 0)
    world.pool.run_all()
    try:
        world.agent.send(add)
    except AgentFailedError:
        pass


def reads_old(world: World) -> None:
    @dosync
    def body() -> None:
        world.a.deref()
        if world.b.deref() == 2:
            outside(lambda: atomically(lambda: (world.b.set(7), world.c.set(8))))
        assert world.c.deref() == 3

    body()


def loses(world: World) -> None:
    """So often that it holds what it touches at last."""

    @dosync
    def body() -> None:
        n = world.a.deref()
        if current_transaction().attempt <= ESCALATE_AFTER:
            outside(atomically, world.a.alter, add)
            world.mark()
        world.b.set(n)

    body()


def gives_up(world: World) -> None:
    @dosync(max_attempts=2)
    def body() -> None:
        n = world.a.deref()
        outside(atomically, world.a.alter, add)
        world.mark()
        world.b.set(n)

    try:
        body()
    except TransactionAborted:
        pass


def loses_its_history(world: World) -> None:
    @dosync(read_only=True)
    def body() -> None:
        world.a.deref()
        if current_transaction().attempt == 1:
            outside(atomically, world.short.alter, add)
        world.short.deref()

    body()


def waits(world: World) -> None:
    @dosync
    def body() -> None:
        if world.a.deref() == 1:
            outside(atomically, world.a.alter, add)
            world.mark()
            retry()
        world.b.set(7)

    body()


def waits_in_vain(world: World) -> None:
    try:
        dosync(timeout=0.0001)(lambda: check(world.a.deref() == 0))()
    except TransactionTimeout:
        pass


def waits_for(world: World) -> None:
    world.a.wait_for(lambda n: n == 1)


def looks(world: World) -> None:
    with dosync(read_only=True):
        assert (world.a.deref(), world.atom.deref()) == (1, 4)
    repr(world.a)
    world.a.trim_history()
    no_transaction(lambda: None)()


def dropped(world: World) -> None:
    def generator() -> Any:
        with dosync():
            world.a.set(-1)
            yield

    next(generator())


Step = Callable[[World], None]
SCRIPT: tuple[Step, ...] = (
    call,
    one_cell,
    two_cells,
    loop,
    block,
    block_that_reads,
    parts,
    alternatives,
    commutes,
    weak,
    atom,
    atomics,
    atomics_alone,
    watched,
    refused,
    extras,
    hooks,
    rolled_back,
    send,
    send_inside,
    agent_fails,
    reads_old,
    loses,
    gives_up,
    loses_its_history,
    waits,
    waits_in_vain,
    waits_for,
    looks,
    dropped,
)
