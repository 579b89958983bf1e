"""An exception at each step of each feature, and each allocation that fails.

A step is a point where the interpreter may let an exception from outside in (see
`interrupts`). For each step of the script, and each of its points, a new world is made
and the step is run with an exception at that point. Then the world is as it was before,
or as it is afterwards; nothing is held, and this thread and others can go on.

`MemoryError` comes where memory is asked for, which is not where the interpreter looks
for other exceptions. So in another process the allocator fails once, at each of its
calls in turn.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from random import Random
from typing import Any

from helpers import elsewhere
from interrupts import Interrupted, Tracer

from atomos import dosync, outside
from atomos.stm import _scope
from faults.aftermath import held, old_versions, open_snapshots
from faults.apart import run_apart
from faults.campaign import Campaign, Figure, Load, at_least, empty, none, seen
from faults.quiet import in_silence
from faults.script import SCRIPT, Step, World

#: All points, in the unit of the load.
ALL = 1000
KINDS = (Interrupted, MemoryError)
#: After so many allocations that did not fail, a step is over.
ENOUGH = 20
#: Allocations with which it is found out whether the interpreter stands it.
PROBES = 2000

#: What was found -> how often.
Found = Counter[str]


class Outcome:
    """What a step may leave, found by running it once without a fault.

    Attributes:
        states: What its transactions have left: before, in between, after.
        sent: What the agent is before it and after it.
    """

    def __init__(self, step: Step) -> None:
        world = World(lambda: self.states.append(outside(world.values)))
        self.states = [world.values()]
        step(world)
        self.states.append(world.values())
        self.sent = (0, world.sent())

    def judge(self, world: World, ended: bool, reports: int) -> str:
        """Say what a run has left that must not be; "" if nothing.

        Args:
            world: That of the run.
            ended: It ended without an exception.
            reports: How many errors it has reported.
        """
        values, sent = world.values(), world.sent()
        if values not in self.states or (ended and values != self.states[-1]):
            return "a state in between"
        # An `Exception` of a hook is reported, and stops nothing.
        told = ended and not reports
        if sent not in self.sent or (told and sent != self.sent[-1]):
            return "an action sent half"
        if values != self.states[-1] and values == self.states[0] and sent:
            return "an action sent without its transaction"
        return self._left(world)

    def _left(self, world: World) -> str:
        """Say what is left behind in the engine."""
        if held(world.cells):
            return "a cell left held"
        if open_snapshots():
            return "a transaction left in the registry"
        if not (_goes_on(world) and elsewhere(_goes_on, world)):
            return "a next transaction that fails"
        if old_versions(cell for cell in world.cells if hasattr(cell, "ensure")):
            return "an old version left"
        return ""


def _goes_on(world: World) -> bool:
    """Whether the calling thread can run transactions on all cells."""
    refs = [cell for cell in world.cells if hasattr(cell, "ensure")]

    def body() -> None:
        for ref in refs:
            ref.alter(lambda n: n)
        world.atom.swap(lambda n: n)

    before = world.values()
    dosync(timeout=5.0)(body)()
    with dosync(timeout=5.0):
        body()
    return world.values() == before


def _points(step: Step) -> int:
    """Return how many points a step has."""
    world, count = World(), 10**9
    tracer = Tracer(count, lambda: None)
    tracer.run(lambda: step(world))
    return count - tracer.left


def strike(step: Step, n: int, kind: type[BaseException], outcome: Outcome) -> str:
    """Run `step` with an exception at its n-th point; say what it leaves."""

    def act() -> None:
        raise kind

    world, tracer = World(), Tracer(n, act)
    ended = False
    with in_silence() as reports:
        try:
            tracer.run(lambda: step(world))
            ended = True
        except kind:
            pass
        except Exception as error:  # one that it has caused
            if tracer.where is None:
                return f"{type(error).__name__} without a reason"
    wrong = outcome.judge(world, ended, reports.count)
    return f"{step.__name__}: {wrong}, at {tracer.where}" if wrong else ""


def at_each_point(load: Load) -> tuple[int, int, Found]:
    """Strike at each point, or at a part of them.

    Returns:
        How many points there are, at how many an exception was raised, what is wrong.
    """
    random, struck, found = Random(load.seed), 0, Counter[str]()
    points = {step: _points(step) for step in SCRIPT}
    apart = max(1, ALL // load.amount)
    for step, count in points.items():
        load.say(f"{step.__name__}, {count} points")
        outcome = Outcome(step)
        for kind in KINDS:
            for n in range(random.randrange(apart) + 1, count + 1, apart):
                struck += 1
                wrong = strike(step, n, kind, outcome)
                if wrong:
                    found[wrong] += 1
    return sum(points.values()), struck, found


def run(load: Load) -> list[Figure]:
    """Raise at so many of a thousand points, and fail so many allocations."""
    points, struck, found = at_each_point(load)
    least = points * len(KINDS) if load.amount >= ALL else 1
    reason = not_without_memory(load)
    starved = [seen("allocations that fail", reason)] if reason else []
    return [
        seen("features", len(SCRIPT)),
        seen("points where an exception may come in", points),
        at_least("points where one came in, two kinds of each", struck, least),
        none("left anything but the old state or the new one", sum(found.values())),
        empty("which", "; ".join(list(found)[:5])),
        *(starved or run_apart(without_memory, load)),
    ]


def probe(load: Load) -> list[Figure]:
    """Let allocations fail where atomos has no part in it, in this process."""
    import _testcapi

    def work(*args: object, **kwargs: object) -> None:
        class Some:
            __slots__ = ("x",)

        Some().x = {object(): n for n in range(20)}
        if not args:
            work(1, x=1)

    for n in range(load.amount):
        try:
            _testcapi.set_nomemory(n, n + 1)
            work()
            _testcapi.remove_mem_hooks()
        except BaseException:
            _testcapi.remove_mem_hooks()
    return []


def not_without_memory(load: Load) -> str:
    """Return why no allocation can fail here, if it cannot."""
    if find_spec("_testcapi") is None:
        return "no _testcapi here"
    if all(one.holds for one in run_apart(probe, replace(load, amount=PROBES))):
        return ""
    return "the interpreter crashes then, by itself"


def without_memory(load: Load) -> list[Figure]:
    """Let each allocation fail, or a part of them, in this process."""
    import _testcapi

    random, found, failed = Random(load.seed), Counter[str](), 0
    apart = max(1, ALL // load.amount)
    for step in SCRIPT:
        load.say(f"{step.__name__} without memory")
        outcome = Outcome(step)
        n, calm = random.randrange(apart), 0
        while calm < ENOUGH:
            ended, wrong = _starve(step, n, outcome, _testcapi)
            failed += not ended
            calm = calm + 1 if ended else 0
            n += apart
            if wrong:
                found[wrong] += 1
    return [
        at_least("allocations that failed, and were told", failed, 1),
        none("left anything but the old state or the new one", sum(found.values())),
        empty("which", "; ".join(list(found)[:5])),
    ]


def _starve(
    step: Callable[[World], None], n: int, outcome: Outcome, allocator: Any
) -> tuple[bool, str]:
    """Run `step` with its n-th allocation failing; whether it ended, what it leaves."""
    world, ended = World(), False
    with in_silence() as reports:
        try:
            allocator.set_nomemory(n, n + 1)
            step(world)
            allocator.remove_mem_hooks()
            ended = True
        except BaseException:
            allocator.remove_mem_hooks()
    wrong = outcome.judge(world, ended, reports.count)
    return ended, f"{step.__name__}: {wrong}, allocation {n}" if wrong else ""


def a_block_stays_open() -> None:
    _scope.finish = lambda tx: None


CAMPAIGN = Campaign(
    "every step",
    "exceptions at each step of each feature, in thousandths of all",
    run,
    10,
    ALL,
    (a_block_stays_open,),
)
