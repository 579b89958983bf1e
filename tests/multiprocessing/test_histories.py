"""What several processes did at once has an order: recorded, merged, and checked.

Each process notes when its calls begin and end, by the clock that is one for all
processes of a machine. The records are replayed in that order into one `History`.
"""

from __future__ import annotations

import random
from time import clock_gettime_ns

import pytest
from shared import Process

from atomos import dosync
from atomos.multiprocessing import open as open_space
from atomos.testing import History, Model, check_linearizable, check_serializable

try:
    from time import CLOCK_MONOTONIC
except ImportError:
    pytest.skip("there is no clock for all processes", allow_module_level=True)

KEYS = ("x", "y", "z")


def now():
    return clock_gettime_ns(CLOCK_MONOTONIC)


def count(pipe, path, seed, times):
    """Add to a counter and read it; return begin, end, what, and the result of each."""
    rng, found = random.Random(seed), []
    with open_space(path) as space:
        hits = space.integer("hits")
        pipe.send("ready")
        pipe.recv()
        for _ in range(times):
            begin = now()
            if rng.random() < 0.5:
                done = ("add", 1), hits.add_and_get(1)
            else:
                done = ("get",), hits.get()
            found.append((begin, now(), *done))
    return found


def append(pipe, path, seed, times):
    """Append to one list and read others; return begin, end and steps of each."""
    rng, found = random.Random(seed), []
    with open_space(path) as space:
        lists = {key: space.ref(key, default=()) for key in KEYS}
        pipe.send("ready")
        pipe.recv()

        def body(keys, element):
            steps = []
            for key in keys[:-1]:
                steps.append(("read", key, lists[key].deref()))
            if element is not None:
                lists[keys[-1]].alter(lambda value: (*value, element))
                steps.append(("append", keys[-1], element))
            return steps

        function = dosync(body)
        for k in range(times):
            keys = rng.sample(KEYS, rng.randint(2, 3))
            element = f"{seed}.{k}" if rng.random() < 0.7 else None
            begin = now()
            if rng.random() < 0.2:
                with dosync():
                    steps = body(keys, element)
            else:
                steps = function(keys, element)
            found.append((begin, now(), steps))
    return found


def together(space, fn):
    """Run `fn` in three processes at once; return what they recorded."""
    children = [Process("fork", fn, space.path, seed, 60) for seed in range(3)]
    for child in children:
        assert child.said() == "ready"
    for child in children:
        child.tell("go")
    return [one for child in children for one in child.join()]


def replay(records, begin, end):
    """Call `begin` and `end` with each record, at its time."""
    moments = [(record[0], begin, record) for record in records]
    moments += [(record[1], end, record) for record in records]
    for _, call, record in sorted(moments, key=lambda moment: moment[0]):
        call(record)


def counter(state, name, args):
    state += args[0] if name == "add" else 0
    return state, state


def counted(records):
    history, open_ones = History(), {}

    def begin(record):
        open_ones[id(record)] = history.operation(*record[2])
        open_ones[id(record)].__enter__()

    def end(record):
        operation = open_ones.pop(id(record))
        operation.result = record[3]
        operation.__exit__(None, None, None)

    replay(records, begin, end)
    return history


def appended(records):
    history, open_ones = History(), {}

    def begin(record):
        open_ones[id(record)] = history.transaction()
        open_ones[id(record)].__enter__()

    def end(record):
        transaction = open_ones.pop(id(record))
        for kind, key, value in record[2]:
            getattr(transaction, kind)(key, value)
        transaction.__exit__(None, None, None)

    replay(records, begin, end)
    return history


def test_a_counter_is_linearizable(space):
    space.integer("hits")
    records = together(space, count)
    found = check_linearizable(counted(records), Model(0, counter))
    assert found, found
    begin, end, what, result = records[0]
    records[0] = begin, end, what, result + 1000
    assert not check_linearizable(counted(records), Model(0, counter))


def test_lists_are_serializable(space):
    for key in KEYS:
        space.ref(key, default=())
    records = together(space, append)
    found = check_serializable(appended(records))
    assert found, found


def test_a_commit_that_compares_nothing_is_found(space, monkeypatch):
    """The checker would see a broken engine."""
    engine = type(space._home.engine)
    commit = engine.commit

    def careless(self, read, writes, client, mark, since):
        return commit(self, {}, writes, client, mark, since)

    for key in KEYS:
        space.ref(key, default=())
    monkeypatch.setattr(engine, "commit", careless)
    for _ in range(20):  # it takes a meeting
        if not check_serializable(appended(together(space, append))):
            return
        for key in KEYS:
            with dosync():
                space.ref(key).set(())
    pytest.fail("nothing was found")
