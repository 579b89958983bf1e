"""The seats in use: while there is none, atoms do not look for their own."""

from __future__ import annotations

import contextlib

import pytest
from helpers import CELLS, FORMS, GIL, Attempts, commit, elsewhere, put, transact
from interrupts import interrupted_at_each_point

from atomos import Ref, atomically, dosync
from atomos.stm._seat import seated

pytestmark = pytest.mark.skipif(not GIL, reason="there is one for good")


class Refused(Exception):
    pass


def refuse(*_):
    raise Refused


@pytest.fixture(autouse=True)
def nobody_is_seated():
    assert not seated
    yield
    assert not seated


@pytest.mark.parametrize("ending", ["commits", "raises", "commute", "commute raises"])
@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("form", FORMS)
def test_however_it_ends(form, kind, ending):
    cell, ref = CELLS[kind](0), Ref(0)

    def body():
        put(cell, 1)
        assert seated
        if ending == "raises":
            raise Refused
        if ending.startswith("commute"):
            ref.commute(refuse if ending == "commute raises" else abs)

    with contextlib.suppress(Refused):
        transact(form, body)
    assert not seated


@pytest.mark.parametrize("form", FORMS)
def test_a_nested_one_leaves_the_outer_one_seated(form):
    ref, other = Ref(0), Ref(0)

    def outer():
        transact(form, lambda: put(ref, 1))
        assert seated
        with contextlib.suppress(Refused):
            transact(form, refuse)
        assert seated
        other.set(1)
        other.commute(abs)
        assert seated

    atomically(outer)
    assert not seated


def test_one_that_is_lost():
    ref, tries = Ref(0), Attempts()

    def body():
        tries.begin()
        assert len(seated) == 1
        n = ref.deref()
        tries.once(commit, ref, 5)
        ref.set(n + 1)

    atomically(body)
    assert tries.count == 2


@pytest.mark.parametrize("where", [lambda fn: fn(), elsewhere], ids=["here", "there"])
@pytest.mark.parametrize("form", ["loop", "block"])
def test_a_generator_that_is_closed(form, where):
    def generator():
        if form == "block":
            with dosync():
                yield
        else:
            for tx in dosync():
                with tx:
                    yield

    kept = generator()
    next(kept)
    assert seated
    where(kept.close)


@pytest.mark.parametrize("ending", ["commits", "raises"])
@pytest.mark.parametrize("form", FORMS)
def test_an_exception_at_each_point(form, ending, quiet_hook):
    def scenario(tracer):
        ref, other = Ref(0), Ref(0)

        def body():
            ref.commute(abs)
            other.set(1)
            other.commute(abs)
            if ending == "raises":
                raise Refused

        def run():
            with contextlib.suppress(Refused):
                transact(form, body)

        return run

    def check():
        assert not seated

    assert elsewhere(interrupted_at_each_point, scenario, check) > 10
