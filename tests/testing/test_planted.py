"""Planted bugs: each is found within seconds, and its correct twin is passed."""

from __future__ import annotations

import time

import pytest
from testing.breaks import BREAKS
from testing.programs import PROGRAMS

from atomos.stm._footprint import Restart
from atomos.testing import explore

#: Seconds within which each bug is found.
SOON = 10


def run(make):
    """Explore a program: all schedules with up to two preemptions."""
    number = len(make()[0])
    bodies = [lambda made, n=n: made[0][n]() for n in range(number)]
    return explore(
        *bodies, setup=make, check=lambda made, run: made[1](run), limit=20_000
    )


def found(make):
    """Return what is raised; it has the schedule and the table with it."""
    begun = time.monotonic()
    # Some breaks let the engine's own signal out, which is no Exception.
    with pytest.raises((Exception, Restart)) as caught:
        run(make)
    assert time.monotonic() - begun < SOON
    assert "Schedule(" in caught.value.__notes__[0]
    return caught.value


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda one: one.__name__)
def test_a_broken_program_is_found(program):
    found(lambda: program(True))


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda one: one.__name__)
def test_its_correct_twin_is_passed(program):
    assert run(lambda: program(False)).complete


@pytest.mark.parametrize("one", BREAKS, ids=str)
def test_a_broken_part_of_the_engine_is_found(one):
    with one.breaks():
        found(one.program)


@pytest.mark.parametrize(
    "program",
    dict.fromkeys(one.program for one in BREAKS),
    ids=lambda one: one.__name__,
)
def test_the_engine_as_it_is_passes(program):
    assert run(program).complete
