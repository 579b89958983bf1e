"""Single calls in one thread: add_and_get, deref, get, swap."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from atomos import Atom
from atomos.atomic import AtomicInteger
from benchmarks import peers
from benchmarks.measure import in_ns, per_call, ratios, take_turns
from benchmarks.result import Figure, Row, Work, at_least, at_most

if TYPE_CHECKING:
    from benchmarks.measure import Round, Settings


class LockedInteger:
    """What one writes by hand instead of an AtomicInteger."""

    def __init__(self, value: int = 0) -> None:
        self._lock = threading.Lock()
        self._value = value

    def add_and_get(self, delta: int) -> int:
        """Add `delta` and return the sum."""
        with self._lock:
            self._value += delta
            return self._value


class Empty:
    """Has a method that does nothing."""

    def call(self) -> None:
        """Do nothing."""


def increment(number: int) -> int:
    """Return `number` + 1."""
    return number + 1


def old_atomos(settings: Settings) -> tuple[peers.OldAtomos | None, str]:
    """Return atomos 0.3.1, or None and the reason."""
    if not settings.use_peers:
        return None, "peer not wanted"
    try:
        return peers.old_atomos(), ""
    except peers.PeerError as error:
        return None, f"peer not available: {error}"


def against_old(figures: dict[str, list[float]], name: str, reason: str) -> Figure:
    """Return how many times faster than atomos 0.3.1 we are."""
    if "0.3.1" not in figures:
        return Figure(missing=reason)
    return Figure(ratios(figures["0.3.1"], figures[name]), in_ns(figures))


def measure_add(settings: Settings) -> dict[str, Figure]:
    """Compare `AtomicInteger.add_and_get`."""
    calls = settings.count(100_000)
    old, reason = old_atomos(settings)
    kinds: dict[str, Any] = {"atomos": AtomicInteger, "lock": LockedInteger}
    if old is not None:
        kinds["0.3.1"] = old.integer
    things = {name: kind(0) for name, kind in kinds.items()}
    statement = "thing.add_and_get(1)"
    figures = take_turns(
        {name: per_call(statement, thing, calls) for name, thing in things.items()},
        settings.rounds,
    )
    sums = {thing.add_and_get(0) for thing in things.values()}
    assert len(sums) == 1, f"the sums differ: {sums}"
    return {
        "add-lock": Figure(ratios(figures["atomos"], figures["lock"]), in_ns(figures)),
        "add-old": against_old(figures, "atomos", reason),
    }


def measure_reads(settings: Settings) -> dict[str, Figure]:
    """Compare `Atom.deref` and `AtomicInteger.get` with an empty method."""
    calls = settings.count(400_000)
    contestants: dict[str, Round] = {
        "deref": per_call("thing.deref()", Atom(7), calls),
        "get": per_call("thing.get()", AtomicInteger(7), calls),
        "empty method": per_call("thing.call()", Empty(), calls),
    }
    figures = take_turns(contestants, settings.rounds)
    empty, words = figures["empty method"], in_ns(figures)
    return {
        name: Figure(ratios(figures[name], empty), words) for name in ("deref", "get")
    }


def measure_swap(settings: Settings) -> dict[str, Figure]:
    """Compare `Atom.swap`."""
    calls = settings.count(50_000)
    old, reason = old_atomos(settings)
    things: dict[str, Any] = {"atomos": Atom(0)}
    if old is not None:
        things["0.3.1"] = old.atom(0)
    contestants = {
        name: per_call("thing.swap(increment)", thing, calls, increment=increment)
        for name, thing in things.items()
    }
    figures = take_turns(contestants, settings.rounds)
    values = {thing.deref() for thing in things.values()}
    assert len(values) == 1, f"the values differ: {values}"
    return {"swap-old": against_old(figures, "atomos", reason)}


WORKS = (
    Work(
        (
            Row(
                "add-lock", "AtomicInteger.add_and_get / by hand, a lock", at_most(1.6)
            ),
            Row("add-old", "AtomicInteger.add_and_get against 0.3.1", at_least(1.5)),
        ),
        measure_add,
    ),
    Work(
        (
            Row("deref", "Atom.deref / an empty method call", at_most(2.5)),
            Row("get", "AtomicInteger.get / an empty method call", at_most(2.5)),
        ),
        measure_reads,
    ),
    Work((Row("swap-old", "Atom.swap against 0.3.1", at_least(2.5)),), measure_swap),
)
