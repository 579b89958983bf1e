"""Functions are replaced while somebody looks on, and nothing is left of it."""

from __future__ import annotations

import itertools
import os
import signal
import threading

import pytest
from helpers import PATIENCE
from interrupts import preempted_at_each_opcode, within

import atomos
from atomos import (
    Atom,
    AtomicInteger,
    AtomicStampedReference,
    Ref,
    atomically,
    debug,
    dosync,
)
from atomos.stm import (
    _commit,
    _hearing,
    _operations,
    _runner,
    _scope,
    _seams,
    _statistics,
    collecting,
)
from atomos.stm._attempts import Listener as Attending
from atomos.stm._cell import Cell
from atomos.stm._operations import Listener, listen, unlisten
from atomos.stm._seams import Seams, _places


class Base:
    def value(self):
        return "base"


class Below(Base):
    pass


def adds(letter):
    return lambda method: lambda one: method(one) + letter


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_wrappers_lie_over_each_other_and_go_in_any_order(order):
    original = Base.value
    seams = [Seams() for _ in range(3)]
    for one, letter in zip(seams, "abc", strict=True):
        one.method(Base, "value", adds(letter))
    left = "abc"
    assert Base().value() == "baseabc"
    for index in order:
        seams[index].close()
        left = left.replace("abc"[index], "")
        assert Base().value() == "base" + left
    assert Base.value is original
    assert not _places


def test_one_may_wrap_the_same_place_twice():
    original = Base.value
    seams = Seams()
    seams.method(Base, "value", adds("a"))
    seams.method(Base, "value", adds("b"))
    assert Base().value() == "baseab"
    seams.close()
    seams.close()
    assert Base.value is original


def test_what_is_not_there_is_refused_and_changes_nothing():
    seams = Seams()
    with pytest.raises(KeyError):
        seams.method(Below, "value", adds("a"))
    assert Below().value() == "base"
    assert not _places


def test_a_function_is_replaced_wherever_it_was_imported():
    original = _commit.commit
    calls = []

    def wrap(commit):
        def counted(tx):
            calls.append(tx.label)
            return commit(tx)

        return counted

    seams = Seams()
    seams.function(_commit, "commit", wrap)
    try:
        ref = Ref(1)

        @dosync(name="function")
        def work():
            ref.set(2)

        work()
        with dosync(name="block"):
            ref.set(3)
        assert calls == ["function", "block"]
    finally:
        seams.close()
    assert _commit.commit is _runner.commit is _scope.commit is original


class Heard(Listener):
    def __init__(self):
        self.lines = []

    def before(self, cell, name, args):
        self.lines.append(("before", cell, name, args))

    def after(self, cell, name, args, result):
        self.lines.append(("after", cell, name, result))

    def failed(self, cell, name, args, error):
        self.lines.append(("failed", cell, name, type(error)))


@pytest.fixture
def heard():
    listener = Heard()
    listen(listener)
    yield listener.lines
    unlisten(listener)


def everything():
    return {
        (kind, name): vars(kind)[name]
        for kind in _operations._kinds(Cell)
        for name in _operations._public(kind)
    }


def test_each_operation_is_told_once(heard):
    ref, count, pair = Ref(1), AtomicInteger(3), AtomicStampedReference("a", 7)
    with dosync():
        ref.set(count.increment_and_get())
    pair.get_reference()
    assert heard == [
        ("before", count, "increment_and_get", ()),
        ("after", count, "increment_and_get", 4),
        ("before", ref, "set", (4,)),
        ("after", ref, "set", 4),
        ("before", pair, "get_reference", ()),
        ("after", pair, "get_reference", "a"),
    ]


def test_operations_inside_of_a_swap_are_told(heard):
    one, other = Atom(1), Atom(10)
    one.swap(lambda n: n + other.deref())
    assert [(what, name) for what, _, name, _ in heard] == [
        ("before", "swap"),
        ("before", "deref"),
        ("after", "deref"),
        ("after", "swap"),
    ]


def test_an_operation_that_raises_is_told(heard):
    ref = Ref(1)
    with pytest.raises(RuntimeError):
        ref.set(2)
    ref.deref()
    assert [line[0] for line in heard] == ["before", "failed", "before", "after"]


def test_the_methods_are_the_originals_when_nobody_listens():
    before = everything()
    one, other = Heard(), Heard()
    listen(one)
    listen(other)
    assert all(before[key] is not value for key, value in everything().items())
    unlisten(one)
    assert Ref(7).deref() == 7
    assert (len(one.lines), len(other.lines)) == (0, 2)
    unlisten(other)
    unlisten(other)
    assert everything() == before
    assert not _places


# Attempts


class Attended(Attending):
    """Hears of attempts: which have begun, and which have ended."""

    hears_begin = True

    def __init__(self):
        self.begun, self.over = [], []

    def begins(self, tx, attempt):
        self.begun.append(attempt)

    def ended(self, tx, attempt, cause, ref, end):
        self.over.append(attempt)


@pytest.mark.parametrize("change", [_hearing.listen, _hearing.unlisten])
@pytest.mark.parametrize("stopped", ["attempt", "change"])
def test_who_hears_of_a_beginning_hears_of_the_end(stopped, change):
    """Also where it begins or ceases to listen just then."""
    begin = _hearing._begin(lambda tx: None).__code__
    inside = within(change, _hearing._Listening.replace)

    def scenario():
        always, one = Attended(), Attended()
        _hearing.listen(always)
        if change is _hearing.unlisten:
            _hearing.listen(one)

        def attempt():
            atomically(Ref(0).set, 1)

        def do():
            change(one)

        def check(*_):
            _hearing.unlisten(one)
            _hearing.unlisten(always)
            assert one.begun == one.over
            assert always.begun == always.over != []

        return (attempt, do, check) if stopped == "attempt" else (do, attempt, check)

    def when(frame):
        return frame.f_code is begin if stopped == "attempt" else inside(frame)

    assert preempted_at_each_opcode(scenario, when) > 20


# Threads that look at the same time


def test_a_function_is_replaced_while_another_thread_replaces_it():
    """Each of them finds all places, and leaves the original."""
    commit, other_way = _commit.commit, Seams()

    def scenario():
        one, calls = Seams(), []

        def tells(name):
            def wrap(commit):
                def counted(tx):
                    calls.append(name)
                    return commit(tx)

                return counted

            return wrap

        def replace():
            one.function(_commit, "commit", tells("one"))

        def replace_and_close():
            other_way.function(_commit, "commit", tells("other"))
            return len(other_way._held)

        def check(_, places):
            other_way.close()
            try:
                assert len(one._held) == places == 3
                atomically(Ref(0).set, 1)
                assert calls == ["one"]
            finally:
                one.close()
            assert _commit.commit is _runner.commit is _scope.commit is commit

        return replace, replace_and_close, check

    when = within(_seams.original)

    def of_this_one(frame):
        found = frame.f_locals
        return when(frame) and (found["owner"], found["name"]) == (_commit, "commit")

    assert preempted_at_each_opcode(scenario, of_this_one) > 10


def test_a_function_is_replaced_while_a_module_gets_a_name(monkeypatch):
    """As the package does when a module of it is imported."""
    original = _seams.original
    names = (f"new_{n}" for n in itertools.count())

    def imports(owner, name):
        if owner is atomos:
            monkeypatch.setattr(atomos, next(names), None, raising=False)
        return original(owner, name)

    monkeypatch.setattr(_seams, "original", imports)
    seams = Seams()
    try:
        seams.function(_commit, "commit", lambda commit: commit)
        assert len(seams._held) == 3
    finally:
        seams.close()


# A fork


def collects():
    with collecting():
        pass


def debugs():
    debug.enable()
    debug.disable()


def listens():
    listener = Listener()
    listen(listener)
    unlisten(listener)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
@pytest.mark.parametrize(
    ("owner", "name", "use"),
    [
        (_seams, "_lock", collects),
        (_statistics._open, "lock", collects),
        (_hearing._listening, "lock", collects),
        (_operations._listening, "lock", listens),
        (debug._debugging, "lock", debugs),
    ],
)
def test_a_lock_that_another_thread_had_is_free_in_the_child_of_a_fork(
    owner, name, use
):
    held, over = threading.Event(), threading.Event()

    def hold():
        with getattr(owner, name):
            held.set()
            over.wait(PATIENCE)

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert held.wait(PATIENCE)
        child = os.fork()
        if child == 0:
            signal.alarm(5)  # ends it
            status = 1
            try:
                use()
                status = 0
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
    finally:
        over.set()
        thread.join(PATIENCE)
