"""Hearing of the commits of other processes, whatever the watches do meanwhile."""

from __future__ import annotations

import sys
from threading import Event, current_thread
from time import monotonic

import pytest
from children import Child
from helpers import blocked, done_or_blocked, start, until
from shared import Process

from atomos import dosync, multiprocessing
from atomos.errors import SpaceClosedError
from atomos.multiprocessing import _bells, _listener

#: Seconds until a wait is given up. Only a failing test waits that long.
PATIENCE = 10.0


@pytest.fixture
def a(space):
    return space.ref("a", default=0)


@pytest.fixture
def b(space):
    return space.ref("b", default=0)


def set_when_told(pipe, path):
    with multiprocessing.open(path) as space:
        while (name := pipe.recv()) is not None:
            dosync(space.ref(name).set)(1)
            pipe.send(name)


@pytest.fixture
def setter(space):
    """Return a function that has another process set a ref to 1."""
    child = Process("spawn", set_when_told, space.path)

    def set_it(name):
        child.tell(name)
        assert child.said() == name

    yield set_it
    child.tell(None)
    child.join()


def test_a_watch_may_wait_for_a_commit(a, b, setter):
    told = []
    a.add_watch("w", lambda *_: told.append(b.wait_for(bool, PATIENCE)))
    a.add_watch("then", lambda *_: dosync(a.set)(2))
    setter("a")
    setter("b")
    a.wait_for(lambda value: value == 2, PATIENCE)
    a.remove_watch("then")
    assert told[0] == 1


def test_a_watch_may_end_its_thread(a, b, setter):
    """Who waits is woken all the same, and so are the watches."""
    a.add_watch("w", lambda *_: sys.exit())
    setter("a")
    setter("b")
    b.wait_for(lambda value: value == 1, PATIENCE)
    a.remove_watch("w")
    dosync(b.set)(0)
    b.add_watch("w", lambda *_: dosync(a.set)(3))
    setter("b")
    a.wait_for(lambda value: value == 3, PATIENCE)


def test_a_watch_that_is_added_again_is_told_nothing_old(a):
    told = []

    def watch(key, ref, old, new):
        told.append((old, new))

    a.add_watch("w", watch)
    a.remove_watch("w")
    dosync(a.set)(1)
    a.add_watch("w", watch)
    dosync(a.set)(2)
    assert told == [(1, 2)]


def test_a_watch_that_is_added_while_others_are_told(a, b, monkeypatch):
    """The teller is about to look at the value when all that it tells is gone."""
    told, looks, home, go_on = [], [], a._home, Event()
    newest = home.newest

    def held_up(cell):
        if current_thread().name.startswith("atomos calls watches"):
            looks.append(cell)
            assert go_on.wait(PATIENCE)
        return newest(cell)

    a.add_watch("w", lambda *_: told.append("of the one that was taken off"))
    monkeypatch.setattr(type(home), "newest", lambda _, cell: held_up(cell))
    dosync(b.set)(1)  # the teller looks
    until(lambda: looks)
    a.remove_watch("w")
    dosync(a.set)(1)
    a.add_watch("w", lambda key, ref, old, new: told.append((old, new)))
    go_on.set()
    dosync(a.set)(2)
    until(lambda: len(looks) > 1)  # so it has told what it was about to tell
    assert told == [(1, 2)]


def test_a_fork_while_the_watches_are_told(a):
    told = []
    a.add_watch("w", lambda key, ref, old, new: told.append((old, new)))

    def child(line):
        dosync(a.set)(1)
        line.say(told)

    with a._home.listener.watched[a._key].lock, Child(child) as one:
        assert one.hear() == [(0, 1)]


def test_who_looks_again_while_the_space_is_closed_sleeps_no_more(
    space, a, monkeypatch
):
    """It was woken, and the engine does still answer."""
    waits = start(a.wait_for, bool)
    blocked(waits)
    engine = a._home.engine
    close = engine.close

    def closes():
        done_or_blocked(waits)
        close()

    monkeypatch.setattr(type(engine), "close", lambda _: closes())
    space.close()
    with pytest.raises(SpaceClosedError):
        waits.join()


def test_who_waits_hears_that_the_space_is_closed(space, a):
    waits = start(lambda: a.wait_for(bool, PATIENCE))
    done_or_blocked(waits)
    space.close()
    with pytest.raises(SpaceClosedError):
        waits.join()


def test_who_looks_again_while_the_thread_ends_has_another_one(space, a, monkeypatch):
    """The thread that listens has met an error, and has not come to its end yet."""
    engine, listener = type(space._home.engine), space._home.listener
    number, wake_all = engine.number, _listener.Listener._wake_all
    broken, woken, go_on = Event(), Event(), Event()

    def breaks(self):
        if current_thread() is listener.thread and not broken.is_set():
            broken.set()
            raise OSError("once")
        return number(self)

    def wakes(self):
        wake_all(self)
        if broken.is_set() and not woken.is_set():
            woken.set()
            assert go_on.wait(PATIENCE)

    monkeypatch.setattr(engine, "number", breaks)
    monkeypatch.setattr(_listener.Listener, "_wake_all", wakes)
    waits = start(lambda: a.wait_for(bool, PATIENCE))
    try:
        assert woken.wait(PATIENCE)
        done_or_blocked(waits)  # it has looked, and sleeps again
    finally:
        go_on.set()
    first = monotonic()
    dosync(a.set)(1)
    assert waits.join() == 1
    assert monotonic() - first < PATIENCE / 2


def answer(pipe, asked, answered, rounds):
    for k in range(1, rounds + 1):
        asked.wait_for(lambda n, k=k: n >= k, timeout=20)
        answered.set(k)


def test_who_waits_is_woken_and_need_not_look(space, monkeypatch):
    """Without the look once in a second, a commit that rings no bell is missed."""
    monkeypatch.setattr(_bells, "_LOOK", 600.0)
    monkeypatch.setattr(_listener, "LOOK", 600.0)
    asked, answered = space.integer("asked"), space.integer("answered")
    child = Process("fork", answer, asked, answered, 20)
    for k in range(1, 21):
        asked.set(k)
        answered.wait_for(lambda n, k=k: n >= k, timeout=20)
    child.join()
