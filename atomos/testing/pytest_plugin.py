"""Fixtures for pytest: put ``pytest_plugins = ["atomos.testing.pytest_plugin"]``.

It goes into the `conftest.py` at the root of the tests. There is no entry point, so a
project that does not ask for it does not pay for it.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from atomos.testing._explore import Exploration, explore

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["explore_schedules", "pytest_addoption", "pytest_terminal_summary"]

_done = pytest.StashKey[list[Exploration]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("atomos")
    group.addoption(
        "--preemptions",
        type=int,
        metavar="N",
        help="explore_schedules: explore schedules with up to N preemptions, whatever "
        "the test says, for instance at night",
    )


@pytest.fixture
def explore_schedules(request: pytest.FixtureRequest) -> Callable[..., Exploration]:
    """Return `explore`, whose bound can be set from the command line.

    ``--preemptions N`` overrules what the test says. At the end pytest tells how many
    schedules all tests have run.
    """
    return partial(_explore, request.config)


def _explore(config: pytest.Config, *bodies: Any, **kwargs: Any) -> Exploration:
    asked = config.getoption("--preemptions")
    if asked is not None:
        kwargs["preemptions"] = asked
    explored = explore(*bodies, **kwargs)
    config.stash.setdefault(_done, []).append(explored)
    return explored


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Tell how much was explored."""
    done = config.stash.get(_done, [])
    if done:
        runs = sum(one.runs for one in done)
        rest = "" if all(one.complete for one in done) else ", not all to the end"
        terminalreporter.write_line(
            f"atomos: {runs} schedules run in {len(done)} explorations{rest}"
        )
