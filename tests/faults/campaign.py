"""What a campaign is: a load, what is done with it, and the figures that come out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic


def _say_nothing(words: str) -> None:
    pass


@dataclass(frozen=True)
class Load:
    """How much to do.

    Attributes:
        amount: The least to be done; each campaign says of what.
        seconds: Go on for so long even when that is done.
        patience: Seconds for which nothing may move before the campaign is
            stopped, with the stacks of all threads.
        slack: How much longer than promised something may take: above 1 where
            others use the machine, and a slow one must not be an error.
        seed: For all that is random.
        say: Called with a line now and then, for whoever looks on.
        begun: When it began.
    """

    amount: int
    seconds: float = 0.0
    patience: float = 120.0
    slack: float = 1.0
    seed: int = 0
    say: Callable[[str], None] = _say_nothing
    begun: float = field(default_factory=monotonic)

    def more(self, done: float) -> bool:
        """Whether there is more to do when so much is done."""
        return done < self.amount or self.left() > 0

    def left(self) -> float:
        """Return for how many seconds to go on; 0 when only the amount counts."""
        return max(0.0, self.begun + self.seconds - monotonic())


@dataclass(frozen=True)
class Figure:
    """One line of the table.

    Attributes:
        what: What was counted.
        value: What came out.
        promise: What it must be, in words.
        holds: Whether it is.
    """

    what: str
    value: float | str
    promise: str
    holds: bool

    def __str__(self) -> str:
        return f"{self.what}: {number(self.value)} ({self.promise})"


@dataclass(frozen=True)
class Campaign:
    """One kind of fault.

    Attributes:
        name: What `--only` calls it.
        what: The load in words, with the unit of its amount.
        run: Does the work; a function of a module, so that another process finds it.
        few: The amount in `make test`.
        many: The least amount in `make soak`.
        breaks: Each breaks the engine in a way that one of the figures must show.
            Called in a process of its own, which ends with the run.
    """

    name: str
    what: str
    run: Callable[[Load], list[Figure]]
    few: int
    many: int
    breaks: tuple[Callable[[], None], ...]


def number(value: float | str) -> str:
    """Return `value` as the table shows it."""
    if isinstance(value, str):
        return value
    return f"{value:,.2f}" if isinstance(value, float) else f"{value:,}"


def at_least(what: str, value: float, least: float) -> Figure:
    return Figure(what, value, f"at least {number(least)}", value >= least)


def at_most(what: str, value: float, most: float) -> Figure:
    return Figure(what, value, f"at most {number(most)}", value <= most)


def none(what: str, value: int) -> Figure:
    """Return a figure that must be 0."""
    return Figure(what, value, "none", value == 0)


def empty(what: str, found: str) -> Figure:
    """Return a figure of words that there must not be."""
    return Figure(what, found or "nothing", "nothing", not found)


def seen(what: str, value: float | str) -> Figure:
    """Return a figure that is told, and nothing more."""
    return Figure(what, value, "-", True)


def not_here(reason: str) -> list[Figure]:
    """Return the figures of a campaign that makes no sense on this interpreter."""
    return [seen("not run here", reason)]


def failed(error: BaseException) -> Figure:
    """Return what a campaign that has raised `error` has shown."""
    words = f"{type(error).__name__}: {error}".strip()
    return Figure("the campaign itself", words, "runs to its end", False)
