"""Writers are killed at random moments, and nothing that they were told is lost.

Two writers at a time add to one counter, which is kept in two keys. Each tells its
parent of a commit after `commit` has returned, and its mark is how many commits it has
made. The parent looks on through snapshots all the while, kills them, and reckons.
"""

from __future__ import annotations

import os
import random
import select
from time import monotonic

from children import PATIENCE, Child

from atomos.multiprocessing._engines import open_engine

KEYS = (b"ca", b"cb")
#: Seconds within which the next writer must get on.
PROMPT = 2.0


def value(record):
    return int(record[8:])


def write(line, kind, folder, client):
    engine = open_engine(kind, folder, durable=False, size=64 << 20)
    done = 0
    while True:
        engine.queue.take(monotonic() + PATIENCE)
        seen = {key: engine.get(key) for key in KEYS}
        more = b"%d" % (value(seen[b"ca"]) + 1)
        mark = b"%d" % (done + 1)
        number = engine.commit(seen, dict.fromkeys(KEYS, more), client, mark, -1)
        engine.queue.leave()
        assert number is not None
        done += 1
        line.say(done)


def audit(engine, least):
    """Look at one snapshot; return the counter."""
    snapshot = engine.snapshot()
    one, other = (snapshot.get(key) for key in KEYS)
    assert one == other, "torn"
    assert snapshot.number >= int.from_bytes(one[:8], "big") or engine.name == "LMDB"
    snapshot.end()
    assert value(one) >= least, "gone back"
    return value(one)


def heard(child, engine=None, until=0.0):
    """Return the last number the writer told, looking on until that time."""
    last = 0
    while True:
        left = max(0.0, until - monotonic())
        if engine is not None:
            if not left:
                return last
            audit(engine, 0)
            if not select.select([child.line._end], [], [], min(left, 0.001))[0]:
                continue
        try:
            last = child.hear()
        except EOFError:
            return last


def proceed(engine):
    """Be the next writer."""
    start = monotonic()
    engine.queue.take(start + PROMPT)
    engine.settle()
    engine.queue.leave()
    assert monotonic() - start < PROMPT


def round_of_kills(engine, kind, folder, number, rng):
    """Start two writers and kill them; return how many commits were told of."""
    before = audit(engine, 0)
    clients = [b"%08d-%07d" % (number, who) for who in range(2)]
    writers = [Child(write, kind, folder, client) for client in clients]
    told = [0, 0]
    for who in (0, 1):
        end = monotonic() + rng.random() * 0.02
        told[who] = heard(writers[who], engine, end)
        writers[who].signal(9)
        writers[who].wait()
        proceed(engine)
    made = 0
    for who in (0, 1):
        told[who] = max(told[who], heard(writers[who]))
        writers[who].line.close()
        record = engine.mark(clients[who])
        mine = value(record) if record else 0
        assert told[who] <= mine <= told[who] + 1, "the mark is wrong, or a commit lost"
        made += mine
    assert audit(engine, before) == before + made, "a commit is lost, or made twice"
    return sum(told)


def campaign(kind, folder, kills, seed=None):
    """Kill so many writers; return how many commits were told of."""
    seed = random.randrange(1 << 32) if seed is None else seed
    rng = random.Random(seed)
    engine = open_engine(kind, folder, durable=False, size=64 << 20)
    try:
        engine.queue.take()
        engine.commit({}, dict.fromkeys(KEYS, b"0"), b"x" * 16, b"0", -1)
        engine.queue.leave()
        return sum(
            round_of_kills(engine, kind, folder, number, rng)
            for number in range((kills + 1) // 2)
        )
    except AssertionError as error:
        error.add_note(f"seed {seed}, process {os.getpid()}")
        raise
    finally:
        engine.close()
