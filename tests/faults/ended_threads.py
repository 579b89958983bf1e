"""Threads, generators and coroutines that end inside of a transaction."""

from __future__ import annotations

from collections.abc import Callable, Generator

from helpers import elsewhere

from atomos import Ref, dosync
from faults.aftermath import nothing_left
from faults.breaks import death_is_not_noticed
from faults.campaign import Campaign, Figure, Load, none, seen


def block_of(ref: Ref[int]) -> Generator[None, None, None]:
    with dosync():
        ref.set(1)
        yield


def thread_that_ends(ref: Ref[int], kept: list[object]) -> None:
    """A generator that somebody keeps has its block open when its thread ends."""

    def work() -> None:
        kept.append(block_of(ref))
        next(kept[-1])

    elsewhere(work)


def generator_dropped(ref: Ref[int], kept: list[object]) -> None:
    elsewhere(lambda: next(block_of(ref)))


KINDS: tuple[Callable[[Ref[int], list[object]], None], ...] = (
    thread_that_ends,
    generator_dropped,
)


def run(load: Load) -> list[Figure]:
    """Let `load.amount` of them end."""
    refs = [Ref(0, name=f"ref {n}") for n in range(8)]
    kept: list[object] = []
    done = 0
    while load.more(done):
        KINDS[done % len(KINDS)](refs[done % len(refs)], kept)
        done += 1
        if done % 100 == 0:
            load.say(f"{done:,} have ended")
    changed = sum(ref.deref() != 0 for ref in refs)
    left = nothing_left(refs)
    return [seen("ended", done), none("refs changed by them", changed), *left]


CAMPAIGN = Campaign(
    "ended", "threads that end in a block", run, 40, 1000, (death_is_not_noticed,)
)
