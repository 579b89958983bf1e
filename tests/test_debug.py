"""Switching debugging on and off, and what is left of it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from functools import cached_property
from typing import Any, NamedTuple

import pytest
from helpers import run_threads

import atomos
from atomos import Atom, Ref, atomically, debug, dosync
from atomos._debug import _effects, _guarded
from atomos.errors import MutatedValueError
from atomos.stm._cell import Cell, Version
from atomos.stm._operations import Listener, listen, unlisten

HERE = re.escape(__file__)


@pytest.fixture(autouse=True)
def _off_in_the_end():
    yield
    debug.disable()


def line() -> int:
    return sys._getframe(1).f_lineno


def refused():
    return pytest.raises(MutatedValueError)


class Plain:
    def __init__(self, x):
        self.x = x

    @cached_property
    def double(self):
        return self.x * 2


class PlainSlots:
    __slots__ = ("x", "y")

    def __init__(self, x):
        self.x = x


def test_what_was_set_before_is_looked_at_too():
    atom = Atom([1], name="early")
    where = line() + 1
    debug.enable(effects=False, skew=False)
    atom.deref().append(2)
    message = f"when debugging was enabled at {HERE}:{where}"
    with pytest.raises(MutatedValueError, match=message):
        atom.deref()


@pytest.mark.parametrize("make", [Plain, PlainSlots])
def test_classes_that_the_user_names(make):
    atom = Atom([make([1])])
    debug.enable(effects=False, skew=False, classes=[make])
    if make is Plain:
        assert atom.deref()[0].double == [1, 1]
    atom.deref()[0].x
    atom.deref()[0].y = 2
    with refused():
        atom.deref()
    atom.reset([make([1])])
    atom.deref()[0].x.append(2)
    with refused():
        atom.deref()


class Names(list):
    pass


class Raw(bytearray):
    pass


class Pair(NamedTuple):
    x: Any


class Wave(complex):
    """Its class in C has members that are a new object each time."""


@pytest.mark.parametrize(
    ("value", "change"),
    [
        (Names(), lambda one: one.append(1)),
        (Names(), lambda one: setattr(one, "x", 1)),
        (Raw(), lambda one: one.append(1)),
        (Pair([]), lambda one: one.x.append(1)),
        (Wave(1, 2), lambda one: setattr(one, "x", 1)),
    ],
)
def test_a_named_class_is_looked_into_as_what_it_is_derived_from_too(value, change):
    debug.enable(effects=False, skew=False, classes=[type(value)])
    atom = Atom(value)
    assert atom.deref() is value
    change(value)
    with refused():
        atom.deref()


def everything():
    """Return all that stands in a class of cells or a module of the library."""
    found = {}
    kinds, left = [], [Cell]
    while left:
        kinds.append(left.pop())
        left += kinds[-1].__subclasses__()
    names = [name for name in sys.modules if name.split(".")[0] == "atomos"]
    for owner in (*kinds, *(sys.modules[name] for name in names)):
        found[owner] = dict(vars(owner))
    return found


def test_nothing_is_left_of_it():
    before = everything()
    early, deref = Atom([1]), vars(Ref)["deref"]
    debug.enable()
    atom, ref = Atom([1]), Ref([2])
    assert type(atom._newest) is _guarded.Guarded
    assert everything() != before
    with dosync():
        ref.alter(lambda value: [*value, 1])
    debug.disable()
    assert vars(Ref)["deref"] is deref
    assert everything() == before
    for cell, value in ((early, [1]), (atom, [1]), (ref, [2, 1])):
        assert type(cell._newest) is Version
        assert cell.deref() == value
        cell.deref().append(3)
        cell.deref()


@pytest.mark.parametrize("at", ["begin", "end"])
def test_an_interrupt_leaves_nothing_that_cannot_be_switched_off(at, monkeypatch):
    before, early = everything(), Atom([1])
    if at == "end":
        debug.enable()

    def interrupted():
        monkeypatch.undo()
        raise KeyboardInterrupt

    monkeypatch.setattr(_guarded.gc, "get_objects", interrupted)
    with pytest.raises(KeyboardInterrupt):
        debug.enable() if at == "begin" else debug.disable()
    debug.disable()
    assert everything() == before
    assert _guarded.guarding.prints is None
    assert type(early._newest) is Version
    early.deref().append(2)
    assert early.deref() == [1, 2]


def test_a_transaction_that_lasts_longer_than_debugging():
    ref = Ref([1])
    debug.enable(effects=False, skew=False)
    with dosync():
        ref.set([2])
        debug.disable()
        ref.deref().append(3)
        ref.alter(lambda value: [*value, 4])
    assert ref.deref() == [2, 3, 4]
    ref.deref().append(5)
    assert ref.deref() == [2, 3, 4, 5]


def test_a_part_that_lasts_longer_than_debugging():
    ref = Ref([1])
    debug.enable(effects=False, skew=False)

    def part():
        ref.set([3])
        debug.disable()
        raise KeyError

    with dosync():
        ref.set([2])
        with pytest.raises(KeyError):
            atomically(part)
        assert ref.deref() == [2]
    assert ref.deref() == [2]


def test_a_transaction_that_has_begun_before():
    ref = Ref([1])
    with dosync():
        ref.set([2])
        debug.enable(effects=False, skew=False)
        assert ref.deref() == [2]
        ref.alter(lambda value: [*value, 3])
    assert ref.deref() == [2, 3]


def test_versions_that_are_just_being_made():
    numbered, valued = Version(), Version()
    numbered.number = 1
    valued.value = [1]
    debug.enable()
    debug.disable()
    numbered.value = [2]
    valued.number = 1
    assert (type(numbered), type(valued)) == (Version, Version)
    assert (numbered.value, valued.value) == ([2], [1])


def test_enabling_again_while_threads_work_harms_nothing():
    atom, stop = Atom([0]), threading.Event()

    def work():
        while not stop.is_set():
            assert atomically(atom.deref) == atom.swap(list) == [0]

    def switch():
        try:
            for _ in range(3):
                debug.enable(effects=False, skew=False)
                debug.disable()
        finally:
            stop.set()

    run_threads(work, switch)


def test_to_enable_again_replaces_what_was_enabled():
    atom = Atom([1])
    debug.enable()
    debug.enable(mutation=False)
    atom.deref().append(2)
    assert atom.deref() == [1, 2]
    assert _effects._hook.on
    debug.enable(effects=False)
    assert not _effects._hook.on


@pytest.mark.parametrize("name", ["mutation", "effects", "skew"])
@pytest.mark.parametrize("wrong", [None, 1, "yes"])
def test_a_switch_is_a_bool(name, wrong):
    before = everything()
    with pytest.raises(TypeError, match=f"{name} must be True or False"):
        debug.enable(**{name: wrong})
    assert everything() == before


def test_classes_are_classes():
    before = everything()
    with pytest.raises(TypeError, match="classes must be classes, not 3"):
        debug.enable(classes=[int, 3])
    assert everything() == before


class Heard(Listener):
    def __init__(self):
        self.names = []

    def before(self, cell, name, args):
        self.names.append(name)


@pytest.mark.parametrize("first", ["debug", "listener"])
def test_others_may_look_on_meanwhile(first):
    before, heard, atom = everything(), Heard(), Atom([1])
    switches = [lambda: listen(heard), lambda: debug.enable(effects=False)]
    ends = [lambda: unlisten(heard), debug.disable]
    for switch in switches if first == "listener" else reversed(switches):
        switch()
    with refused():
        atom.swap(lambda value: value.append(2))
    with refused():
        atom.deref()
    for end in ends:
        end()
    assert heard.names == ["swap", "deref"]
    assert everything() == before


# The environment


def run(asked, code):
    """Run `code` in another interpreter, with that in ATOMOS_DEBUG."""
    environment = {k: v for k, v in os.environ.items() if k != "ATOMOS_DEBUG"}
    if asked is not None:
        environment["ATOMOS_DEBUG"] = asked
    environment["PYTHONPATH"] = os.path.dirname(os.path.dirname(atomos.__file__))
    return subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


SHOW = """
import sys, atomos
if "atomos.debug" in sys.modules:
    from atomos._debug import _effects, _guarded
    from atomos.stm import _commit
    print(_guarded.guarding.prints is not None, _effects._hook.on,
          _commit._settle.__module__)
else:
    print(any(name.startswith("atomos._debug") for name in sys.modules))
"""


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (None, "False"),
        ("", "False"),
        ("1", "True True atomos._debug._skew"),
        ("mutation", "True False atomos.stm._commit"),
        ("effects, skew", "False True atomos._debug._skew"),
    ],
)
def test_the_environment(asked, told):
    done = run(asked, SHOW)
    assert (done.stdout.strip(), done.stderr, done.returncode) == (told, "", 0)


def test_the_environment_may_say_no():
    assert run("0", SHOW).stdout.strip() == "False False atomos.stm._commit"


def test_an_environment_that_says_nothing_known():
    done = run("mutations", "import atomos")
    assert "ValueError: ATOMOS_DEBUG must be 1, 0, or some of" in done.stderr
    assert done.returncode == 1
