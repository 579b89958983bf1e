"""Threads, generators and coroutines that end inside of a transaction.

The process in which they end must print nothing, not even at its own end, when some of
them are still open. In others, daemon threads are in the middle of transactions when
the interpreter shuts down.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from types import coroutine
from typing import Any

from helpers import elsewhere

from atomos import Ref, check, dosync
from atomos.agent import Agent
from faults.aftermath import nothing_left
from faults.apart import run_apart
from faults.bank import Bank, Customer, add
from faults.breaks import death_is_not_noticed
from faults.campaign import Campaign, Figure, Load, at_least, empty, none

#: So many threads and blocks are open when the interpreter shuts down.
OPEN = 7
Counter = Ref[int]
#: What is never dropped.
kept: list[Any] = []


@coroutine
def pause() -> Generator[None, None, None]:
    yield


def block(ref: Counter) -> Generator[None, None, None]:
    with dosync():
        ref.set(-1)
        yield


def loop(ref: Counter) -> Generator[None, None, None]:
    for tx in dosync():
        with tx:
            ref.set(-1)
            yield


async def awaiting(ref: Counter) -> None:
    with dosync():
        ref.set(-1)
        await pause()


async def asynchronous(ref: Counter) -> AsyncGenerator[None, None]:
    for tx in dosync():
        with tx:
            ref.set(-1)
            yield


def begun(ref: Counter, made: Any) -> Any:
    """Run `made` to the middle of its block."""
    made.send(None)
    return made


def thread_ends(ref: Counter) -> None:
    kept.append(begun(ref, block(ref)))


def thread_ends_in_a_loop(ref: Counter) -> None:
    kept.append(begun(ref, loop(ref)))


def thread_raises(ref: Counter) -> None:
    with dosync():
        ref.set(-1)
        raise SystemExit


def generator_is_dropped(ref: Counter) -> None:
    begun(ref, loop(ref))


def coroutine_is_dropped(ref: Counter) -> None:
    begun(ref, awaiting(ref))


def asynchronous_generator_is_dropped(ref: Counter) -> None:
    generator = asynchronous(ref)
    step = generator.asend(None)
    try:
        step.send(None)
    except StopIteration:
        pass


def cycle_is_collected(ref: Counter) -> None:
    inside: list[Any] = []
    inside.append((begun(ref, block(ref)), inside))
    del inside
    gc.collect(0)


def closed_elsewhere(ref: Counter) -> None:
    made = begun(ref, block(ref))
    elsewhere(made.close)


KINDS: tuple[Callable[[Counter], None], ...] = (
    thread_ends,
    thread_ends_in_a_loop,
    thread_raises,
    generator_is_dropped,
    coroutine_is_dropped,
    asynchronous_generator_is_dropped,
    cycle_is_collected,
    closed_elsewhere,
)


def end(load: Load) -> list[Figure]:
    """Let them end, in this process."""
    refs = [Ref(0, name=f"ref {n}") for n in range(8)]
    done = lost = 0
    while load.more(done):
        ref = refs[done // len(KINDS) % len(refs)]
        try:
            elsewhere(KINDS[done % len(KINDS)], ref)
        except SystemExit:
            pass
        done += 1
        if done % len(KINDS) == 0:
            before = ref.deref()
            dosync(timeout=5.0)(ref.alter)(add)
            lost += before < 0 or ref.deref() != before + 1
        if done % 100 == 0:
            load.say(f"{done:,} have ended")
    return [
        at_least("threads, generators and coroutines ended", done, load.amount),
        none("writes of theirs that were seen", lost),
        *nothing_left(refs),
    ]


def shut_down(load: Load) -> list[Figure]:
    """Leave daemon threads in the middle, and let the interpreter end."""
    bank, held = Bank(), Ref(0)
    never, in_block = threading.Event(), threading.Event()

    def use() -> None:
        customer = Customer(bank, load.seed)
        while True:
            customer.act()

    def hold() -> None:
        with dosync():
            held.set(-1)
            in_block.set()
            never.wait()

    def sleep() -> None:
        dosync(lambda: check(held.deref() > 0))()

    for target in (use, use, hold, sleep):
        threading.Thread(target=target, daemon=True).start()
    in_block.wait()
    others = [Ref(0) for _ in range(2)]
    kept.extend(
        begun(ref, fn(ref)) for ref, fn in zip(others, (loop, awaiting), strict=True)
    )
    agent = Agent(0)
    kept.append(agent.send(add).send_off(add))
    return [none("writes seen of a block that is open", int(held.deref() != 0))]


def run(load: Load) -> list[Figure]:
    """Let `load.amount` of them end, and one process for each fifty."""
    figures = run_apart(end, load)
    words, processes = set(), 0
    while OPEN * processes < max(load.amount // 4, 1):
        for figure in run_apart(shut_down, load):
            if not figure.holds:
                words.add(str(figure))
        processes += 1
        load.say(f"{processes} interpreters have shut down")
    return [
        *figures,
        at_least("threads and blocks open at shutdown", OPEN * processes, 1),
        empty("printed or wrong there", "; ".join(sorted(words))),
    ]


CAMPAIGN = Campaign(
    "ended",
    "threads, generators and coroutines that end in a block",
    run,
    80,
    1000,
    (death_is_not_noticed,),
)
