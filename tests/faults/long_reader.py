"""One reader of many refs, held open while two threads write.

The reader reads half of the refs, waits until the writers have done their work, and
then reads all of them. Guarantee 4 says that it runs once, guarantee 5 how many old
versions a ref may have meanwhile: no more than transactions run, which are the reader
and one for each writer. Memory is measured twice: when half of the writing is done,
each ref having been written, and at the end.
"""

from __future__ import annotations

import random
import tracemalloc
from threading import Barrier

from helpers import start

from atomos import Ref, atomically, dosync
from atomos.stm import _publish
from faults.aftermath import nothing_left, old_versions
from faults.campaign import Campaign, Figure, Load, at_least, at_most, none, seen

WRITERS = 2
#: Writes for each ref of the reader: 1,000,000 of them on 10,000 refs.
WRITES_FOR_EACH = 100
#: Refs that the reader looks at, between two looks whether the writers are done.
SAMPLE = 100
#: Bytes for each ref by which memory may grow while it is written 50 times more, and
#: bytes for all else. It goes up and down by 50 or so without the GIL. One old version
#: too many takes 96 with its number.
GROWTH, SLACK = 90, 20_000
#: Seconds that the reader and a writer wait for each other.
LONGEST = 3600.0


def _next(value: int) -> int:
    return value + 1


class _Refs:
    """What is written and read, and what was seen of it.

    Attributes:
        most: The most old versions of one ref that were counted.
        memory: Bytes in use, with half of the writing done and at the end.
        attempts: How often the reader began.
        wrong: Values that the reader saw and that were not those of its beginning.
        held: Old versions of all refs at the end of the writing, after trimming.
    """

    def __init__(self, load: Load) -> None:
        self._load = load
        self.each = load.amount // WRITERS
        self.refs = [Ref(1000 * n) for n in range(load.amount // WRITES_FOR_EACH)]
        self.most = self.attempts = self.wrong = self.held = 0
        self.memory: list[int] = []
        self._halves = Barrier(WRITERS, self._measure)

    def write(self, number: int) -> None:
        """Do what one writer does: each of its refs once, then any at random."""
        rng = random.Random(self._load.seed + number)
        mine = self.refs[number::WRITERS]
        for n in range(self.each):
            if n == self.each // 2:
                self._halves.wait(LONGEST)
            ref = mine[n] if n < len(mine) else rng.choice(self.refs)
            atomically(ref.alter, _next)
        self._halves.wait(LONGEST)

    def _measure(self) -> None:
        self.memory.append(tracemalloc.get_traced_memory()[0])

    def read(self) -> None:
        """Do what the reader does, in one transaction."""
        dosync(self._read_while_others_write)()

    def _read_while_others_write(self) -> None:
        self.attempts += 1
        half = len(self.refs) // 2
        values = [ref.deref() for ref in self.refs[:half]]
        rng = random.Random(self._load.seed)
        writers = [start(self.write, number) for number in range(WRITERS)]
        while any(writer.thread.is_alive() for writer in writers):
            for ref in rng.choices(self.refs, k=SAMPLE):
                self.most = max(self.most, ref.history_count)
        for writer in writers:
            writer.join()
        values += [ref.deref() for ref in self.refs[half:]]
        self.wrong = sum(value != 1000 * n for n, value in enumerate(values))
        self.held = old_versions(self.refs)

    def lost(self) -> int:
        """Return by how many writes the refs are not what they must be."""
        began = sum(1000 * n for n in range(len(self.refs)))
        written = sum(ref.deref() for ref in self.refs) - began
        return abs(WRITERS * self.each - written)


def run(load: Load) -> list[Figure]:
    """Make `load.amount` writes, and again as long as there is time."""
    tracemalloc.start(1)
    try:
        figures = _once(load)
        done = load.amount
        while load.left() > 0 and all(one.holds for one in figures):
            load.say(f"{done:,} writes")
            figures = _once(load)
            done += load.amount
    finally:
        tracemalloc.stop()
    return [seen("writes", done), *figures]


def _once(load: Load) -> list[Figure]:
    refs = _Refs(load)
    refs.read()
    total = len(refs.refs)
    growth = refs.memory[1] - refs.memory[0]
    return [
        seen("refs that the reader has read", total),
        at_most("attempts of the reader", refs.attempts, 1),
        none("values read that were not of its begin", refs.wrong),
        none("writes lost or made twice", refs.lost()),
        at_most("most old versions of one ref", refs.most, WRITERS + 1),
        at_least("most old versions of one ref", refs.most, 1),
        at_most("old versions of all refs for the reader alone", refs.held, total),
        at_most("bytes by which memory has grown", growth, total * GROWTH + SLACK),
        *nothing_left(refs.refs),
    ]


def nothing_trimmed() -> None:
    """Old versions are kept for ever."""
    _publish.trim = lambda cell, newest, points: None


CAMPAIGN = Campaign(
    "long-reader",
    "a reader of many refs held open while 2 threads write, in writes",
    run,
    6_000,
    1_000_000,
    (nothing_trimmed,),
)
