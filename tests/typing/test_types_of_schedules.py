"""What a type checker knows of runs under schedules."""

from __future__ import annotations

from typing import assert_type

from atomos import Atom
from atomos.testing import Exploration, Interleaving, Schedule, explore, run_interleaved


def test_a_run() -> None:
    run = run_interleaved(Schedule((1, 0)), lambda: 1, lambda: "two")
    assert_type(run, Interleaving)
    assert_type(run.seconds, float)
    assert_type(run.schedule, Schedule)


def add(tally: Atom[int]) -> None:
    tally.swap(lambda n: n + 1)


def fresh() -> Atom[int]:
    return Atom(0)


def test_bodies_and_check_get_what_setup_returns() -> None:
    def check(tally: Atom[int], run: Interleaving) -> None:
        assert_type(run.seconds, float)

    assert_type(explore(add, add, setup=fresh, check=check), Exploration)


def test_without_setup_they_get_nothing() -> None:
    def check(run: Interleaving) -> None:
        assert_type(run.seconds, float)

    assert_type(explore(fresh().deref, check=check), Exploration)


def test_a_body_that_wants_more_is_refused() -> None:
    try:
        explore(add)  # type: ignore[arg-type] # nothing is set up
    except TypeError:
        return
    raise AssertionError
