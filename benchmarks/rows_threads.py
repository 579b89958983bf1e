"""Throughput of several threads against that of one, the same work in all.

With the GIL a thread runs for 5 ms before another one may. So each round takes
hundreds of ms: in less, the threads would run one after the other, and never meet.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from statistics import median
from typing import TYPE_CHECKING, Any

from atomos import Atom
from atomos.atomic import AtomicInteger
from benchmarks.banks import atomos_bank, carry_out, draw, locked_bank
from benchmarks.machine import cores, gil_enabled
from benchmarks.measure import in_ns, ratios, take_turns
from benchmarks.result import Figure, Row, Unit, Work, at_least
from benchmarks.rows_calls import increment, old_atomos
from benchmarks.rows_transfer import SIZE
from benchmarks.threads import seconds_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.banks import Bank, Draw
    from benchmarks.measure import Round, Settings

#: What two threads that share nothing must gain, for two cores to be free.
FREE_ENOUGH = 1.8


def needs_gil() -> str:
    """Return why a row for interpreters with the GIL is left out, or ""."""
    return "" if gil_enabled() else "the GIL is off"


def needs_two_free_cores() -> str:
    """Return why the free-threaded row is left out, or ""."""
    if gil_enabled():
        return "the GIL is on"
    return "" if cores() > 1 else "there is only one core"


# Transfers


def transfers(bank: Bank, parts: list[list[Draw]]) -> Round:
    """Return a round in which a thread for each of `parts` does its transfers."""
    orders = [bank.orders(part) for part in parts]
    count = sum(map(len, orders))

    def one_round() -> float:
        bodies = [partial(carry_out, bank.transfer, part) for part in orders]
        seconds = seconds_for(bodies)
        bank.check()
        return seconds / count

    return one_round


def measure_transfers(settings: Settings) -> dict[str, Figure]:
    """Compare 2, 4 and 8 threads on the same refs with one."""
    draws = draw(settings.count(120_000, least=8), range(SIZE))
    bank = atomos_bank(SIZE)
    contestants = {
        f"{threads} threads": transfers(
            bank, [draws[i::threads] for i in range(threads)]
        )
        for threads in (1, 2, 4, 8)
    }
    figures = take_turns(contestants, settings.rounds)
    one = figures["1 threads"]
    words = "threads: " + in_ns({name.split()[0]: figures[name] for name in figures})
    return {
        f"transfer-{n}": Figure(ratios(one, figures[f"{n} threads"], 100), words)
        for n in (2, 4, 8)
    }


def count_up(number: int) -> int:
    """Count: work in which threads share nothing."""
    found = 0
    for _ in range(number):
        found += 1
    return found


def counting(counts: list[int]) -> Round:
    """Return a round in which a thread for each of `counts` counts up to it."""
    bodies = [partial(count_up, count) for count in counts]
    return lambda: seconds_for(bodies) / sum(counts)


def free_round(count: int) -> dict[str, float]:
    """Return one round of the row without the GIL, for this process.

    Args:
        count: Transfers of each of two threads.
    """
    steps = 100 * count
    half = SIZE // 2
    parts = [draw(count, range(half)), draw(count, range(half, SIZE), seed=2)]
    together = [parts[0] + parts[1]]
    ours, locks = atomos_bank(SIZE), locked_bank(SIZE)
    contestants = {
        "1 thread": transfers(ours, together),
        "2 threads": transfers(ours, parts),
        "locks, 1 thread": transfers(locks, together),
        "locks, 2 threads": transfers(locks, parts),
        "counting, 1 thread": counting([2 * steps]),
        "counting, 2 threads": counting([steps, steps]),
    }
    return {name: figures[0] for name, figures in take_turns(contestants, 1).items()}


def measure_free(settings: Settings) -> dict[str, Figure]:
    """Compare two threads, each on its own half of the refs, with one.

    Each round is run in a process of its own. The interpreter's cache of methods has
    4,096 places, and which of those in use collide there differs by process, by the
    seed of the hashes; where they do, threads wait for each other at its lock.

    Beside it stands what the machine gives at this moment to two threads that
    share nothing: without two free cores there is no more to be had.
    """
    count = settings.count(20_000)
    with ProcessPoolExecutor(
        1, mp_context=get_context("spawn"), max_tasks_per_child=1
    ) as processes:
        rounds = list(processes.map(free_round, [count] * settings.rounds))
    figures = {name: [one[name] for one in rounds] for name in rounds[0]}

    def gain(kind: str) -> list[float]:
        return ratios(figures[f"{kind}1 thread"], figures[f"{kind}2 threads"])

    ceiling, by_hand = median(gain("counting, ")), median(gain("locks, "))
    words = (
        f"each round in its own process, two threads that share nothing {ceiling:.2f} x"
    )
    if ceiling < FREE_ENOUGH:
        words += " (THE MACHINE IS TOO BUSY TO TELL)"
    words += f", locks by hand {by_hand:.2f} x, transfer "
    words += in_ns({name: figures[name] for name in ("1 thread", "2 threads")})
    return {"transfer-free": Figure(gain(""), words)}


# One object for all


def contended(
    make: Callable[[], Any],
    operate: Callable[[Any, int], None],
    total: int,
    threads: int,
) -> Round:
    """Return a round in which `threads` threads add up to `total` on one object."""
    each = total // threads

    def one_round() -> float:
        thing = make()
        seconds = seconds_for([partial(operate, thing, each)] * threads)
        found = thing.deref() if hasattr(thing, "deref") else thing.get()
        assert found == each * threads, f"{found} instead of {each * threads}"
        return seconds / (each * threads)

    return one_round


def add_many(integer: Any, count: int) -> None:
    """Call ``add_and_get(1)`` `count` times."""
    for _ in range(count):
        integer.add_and_get(1)


def swap_many(atom: Any, count: int) -> None:
    """Call ``swap(increment)`` `count` times."""
    for _ in range(count):
        atom.swap(increment)


def measure_contended(
    settings: Settings,
    key: str,
    operate: Callable[[Any, int], None],
    make: Callable[[], Any],
    make_old: Callable[[], Any] | None,
    total: int,
) -> dict[str, Figure]:
    """Compare eight threads on one object with one thread."""
    total = settings.count(total, least=8)
    contestants = {
        "1 thread": contended(make, operate, total, 1),
        "8 threads": contended(make, operate, total, 8),
    }
    if make_old is not None:
        fewer = max(total // 4, 8)  # 0.3.1 takes longer
        contestants["0.3.1, 1 thread"] = contended(make_old, operate, fewer, 1)
        contestants["0.3.1, 8 threads"] = contended(make_old, operate, fewer, 8)
    figures = take_turns(contestants, settings.rounds)
    values = ratios(figures["1 thread"], figures["8 threads"], 100)
    return {key: Figure(values, in_ns(figures))}


def measure_integer(settings: Settings) -> dict[str, Figure]:
    """Compare eight threads on one AtomicInteger with one."""
    old, _ = old_atomos(settings)
    return measure_contended(
        settings,
        "integer-8",
        add_many,
        lambda: AtomicInteger(0),
        None if old is None else lambda: old.integer(0),
        1_200_000,
    )


def measure_atom(settings: Settings) -> dict[str, Figure]:
    """Compare eight threads that swap one Atom with one."""
    old, _ = old_atomos(settings)
    return measure_contended(
        settings,
        "atom-8",
        swap_many,
        lambda: Atom(0),
        None if old is None else lambda: old.atom(0),
        800_000,
    )


def _percent(key: str, title: str, limit: float) -> Row:
    return Row(key, title, at_least(limit, Unit.PERCENT))


WORKS = (
    Work(
        tuple(
            _percent(f"transfer-{n}", f"transfer, {n} threads of one thread", 80)
            for n in (2, 4, 8)
        ),
        measure_transfers,
        needs_gil,
    ),
    Work(
        (
            Row(
                "transfer-free",
                "transfer, 2 threads without the GIL, disjoint refs, against 1 thread",
                at_least(1.6, Unit.TIMES),
            ),
        ),
        measure_free,
        needs_two_free_cores,
    ),
    Work(
        (_percent("integer-8", "one AtomicInteger, 8 threads of one thread", 70),),
        measure_integer,
        needs_gil,
    ),
    Work(
        (_percent("atom-8", "one Atom swapped, 8 threads of one thread", 70),),
        measure_atom,
        needs_gil,
    ),
)
