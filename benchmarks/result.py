"""What a row of the table is: what must be, what was measured, the verdict."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from math import inf, isinf
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from benchmarks.measure import Settings


class Unit(Enum):
    """What a figure counts."""

    TIMES = "{:.2f} x"
    FASTER = "{:.2f} x faster"
    PERCENT = "{:.1f} %"
    BYTES = "{:,.0f} bytes"
    ATTEMPTS = "{:.0f} attempt(s)"

    def short(self, value: float) -> str:
        """Return `value` in words, without the unit."""
        return self.value.split(" ", 1)[0].format(value)

    def long(self, value: float) -> str:
        """Return `value` in words, with the unit."""
        return self.value.format(value)


@dataclass(frozen=True)
class Bound:
    """What a figure must be.

    Attributes:
        at_most: True for an upper bound, False for a lower one.
        limit: The bound itself.
        unit: What it counts.
        every_round: It holds for each round, not only for the median.
    """

    at_most: bool
    limit: float
    unit: Unit
    every_round: bool = False

    def __str__(self) -> str:
        if isinf(self.limit):
            return "-"
        number = f"{self.limit:g}"
        words = self.unit.value.split(" ", 1)[1]
        side = "at most" if self.at_most else "at least"
        return f"{side} {number} {words}"

    def holds(self, value: float) -> bool:
        """Whether `value` is within the bound."""
        return value <= self.limit if self.at_most else value >= self.limit


def at_most(limit: float, unit: Unit = Unit.TIMES) -> Bound:
    """Return an upper bound."""
    return Bound(True, limit, unit)


def at_least(limit: float, unit: Unit = Unit.FASTER) -> Bound:
    """Return a lower bound."""
    return Bound(False, limit, unit)


def no_bound(unit: Unit) -> Bound:
    """Return a bound for what is measured to be known, and nothing more."""
    return at_most(inf, unit)


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        key: What `--only` and the stored results call it.
        title: What is compared.
        bound: What must be.
    """

    key: str
    title: str
    bound: Bound


@dataclass(frozen=True)
class Figure:
    """What was measured for one row.

    Attributes:
        values: One per round; empty if it could not be measured.
        beside: Absolute figures and others, for orientation only.
        missing: Why there are no values.
        failed: It raised an exception, which `missing` tells.
    """

    values: Sequence[float] = ()
    beside: str = ""
    missing: str = ""
    failed: bool = False

    def representative(self, bound: Bound) -> float:
        """Return the value that is held against `bound`."""
        if bound.every_round:
            return max(self.values) if bound.at_most else min(self.values)
        return median(self.values)

    def verdict(self, bound: Bound) -> str:
        """Return ``ok``, ``MISSED``, ``FAILED`` or ``-``."""
        if self.failed:
            return "FAILED"
        if not self.values or isinf(bound.limit):
            return "-"
        return "ok" if bound.holds(self.representative(bound)) else "MISSED"


@dataclass(frozen=True)
class Work:
    """Something that is measured at once, for one or more rows.

    Attributes:
        rows: The rows it answers for.
        measure: Returns row key -> figure.
        not_here: Returns why it makes no sense on this interpreter, or "".
    """

    rows: tuple[Row, ...]
    measure: Callable[[Settings], Mapping[str, Figure]]
    not_here: Callable[[], str] = lambda: ""


def run(work: Work, settings: Settings) -> dict[str, Figure]:
    """Measure `work`; a failure becomes the figure of each of its rows."""
    keys = [row.key for row in work.rows]
    reason = work.not_here()
    if reason:
        return dict.fromkeys(keys, Figure(missing=f"n/a here: {reason}"))
    try:
        figures = work.measure(settings)
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
        return dict.fromkeys(keys, Figure(missing=why, failed=True))
    return {key: figures[key] for key in keys}
