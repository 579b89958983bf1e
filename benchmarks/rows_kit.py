"""What the test kit leaves behind when it is not in use any more: nothing."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from multiprocessing import get_context
from statistics import median
from typing import TYPE_CHECKING, Any

from atomos import Atom
from benchmarks.banks import atomos_bank, draw, in_one_thread
from benchmarks.measure import in_ns, per_call, ratios
from benchmarks.result import Figure, Row, Work, at_most

if TYPE_CHECKING:
    from benchmarks.measure import Round, Settings

#: Times each of both in a round, whose medians are compared.
TIMES = 5
SIZE = 100


def increment(number: int) -> int:
    """Return `number` + 1."""
    return number + 1


def use(testing: Any) -> None:
    """Run atoms and a transaction under schedules."""
    atom = Atom(0)
    bank = atomos_bank(2)
    orders = bank.orders(draw(2, range(2)))

    def body() -> None:
        atom.swap(increment)
        for order in orders:
            bank.transfer(*order)

    testing.explore(body, body, preemptions=1)


def kit_round(count: int) -> dict[str, float]:
    """Return times before the kit was ever loaded, and after it was used.

    Hypothesis imports asyncio, and where that is imported each use of a ref looks at
    the task that is running, which makes a transfer 1.1 times as long. So it is there
    before, too.

    Args:
        count: Calls of each.
    """
    import_module("asyncio")
    contestants: dict[str, Round] = {
        "swap": per_call("thing.swap(increment)", Atom(0), count, increment=increment),
        "transfer": in_one_thread(atomos_bank(SIZE), draw(count, range(SIZE))),
    }
    found = {}
    for when in ("warm-up", "before", "after"):
        if when == "after":
            use(import_module("atomos.testing"))
        for name, one_round in contestants.items():
            found[f"{name} {when}"] = median(one_round() for _ in range(TIMES))
    return found


def measure_kit(settings: Settings) -> dict[str, Figure]:
    """Compare one process with itself, before and after it has used the kit."""
    count = settings.count(20_000)
    with ProcessPoolExecutor(
        1, mp_context=get_context("spawn"), max_tasks_per_child=1
    ) as processes:
        rounds = list(processes.map(kit_round, [count] * settings.rounds))
    figures = {name: [one[name] for one in rounds] for name in rounds[0]}
    return {
        f"kit-{name}": Figure(
            ratios(figures[f"{name} after"], figures[f"{name} before"]),
            in_ns({w: figures[f"{name} {w}"] for w in ("before", "after")}),
        )
        for name in ("swap", "transfer")
    }


WORKS = (
    Work(
        (
            Row("kit-swap", "Atom.swap after use of the kit / before", at_most(1.05)),
            Row(
                "kit-transfer", "transfer after use of the kit / before", at_most(1.05)
            ),
        ),
        measure_kit,
    ),
)
