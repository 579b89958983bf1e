"""Timing: rounds of the compared things take turns, so that noise hits them all."""

from __future__ import annotations

import gc
import timeit
from dataclasses import dataclass
from statistics import median
from time import get_clock_info, perf_counter, process_time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    #: Does its work once and returns a figure: seconds per operation, or bytes.
    Round = Callable[[], float]
    Clock = Callable[[], float]

#: Calls written out in the body of a timed loop, so that the loop itself hardly counts.
UNROLLED = 25


def cpu_clock() -> Clock:
    """Return the clock for work in one thread.

    It stands still while another process has the core, which is most of the noise
    there is. Where it is coarse, as on Windows, it is the clock on the wall.
    """
    fine = get_clock_info("process_time").resolution < 1e-6
    return process_time if fine else perf_counter


@dataclass(frozen=True)
class Settings:
    """How long to measure.

    Attributes:
        rounds: Figures per contestant.
        scale: What the numbers of operations and objects are multiplied by.
        use_peers: Whether to compare with other packages.
    """

    rounds: int = 9
    scale: float = 1.0
    use_peers: bool = True

    def count(self, number: int, least: int = 1) -> int:
        """Return `number` scaled, but at least `least`."""
        return max(round(number * self.scale), least)


def take_turns(
    contestants: Mapping[str, Round], rounds: int, *, warm_up: bool = True
) -> dict[str, list[float]]:
    """Run the contestants in turns (A B A B ...); return the figures of each.

    Args:
        contestants: Name -> one round of it.
        rounds: How many figures to take of each.
        warm_up: Run each once before, and drop that figure.
    """
    figures: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(rounds + warm_up):
        for name, one_round in contestants.items():
            gc.collect()
            figure = one_round()
            if number >= warm_up:
                figures[name].append(figure)
    return figures


def ratios(upper: list[float], lower: list[float], times: float = 1) -> list[float]:
    """Return ``times * upper / lower``, round by round."""
    return [times * a / b for a, b in zip(upper, lower, strict=True)]


def per_call(
    statement: str, thing: Any, calls: int, clock: Clock | None = None, **names: Any
) -> Round:
    """Return a round that times `statement`, such as ``thing.get()``.

    Args:
        statement: What to time; it may use `thing` and `names`.
        thing: The object.
        calls: How often, rounded up to a multiple of `UNROLLED`.
        clock: Returns seconds; `cpu_clock` if left out.
        **names: Further names in `statement`.
    """
    loops = -(-calls // UNROLLED)
    given = {"thing": thing, **names}
    timer = timeit.Timer(
        "\n".join([statement] * UNROLLED),
        setup="\n".join(f"{name} = given[{name!r}]" for name in given),  # as locals
        timer=clock or cpu_clock(),
        globals={"given": given},
    )
    return lambda: timer.timeit(loops) / (loops * UNROLLED)


def in_ns(figures: Mapping[str, list[float]]) -> str:
    """Return the median of each contestant in words, for orientation."""
    return ", ".join(
        f"{name} {median(values) * 1e9:,.0f} ns" for name, values in figures.items()
    )
