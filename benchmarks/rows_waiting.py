"""Waiting: items through a bounded buffer, and how soon a sleeper is woken."""

from __future__ import annotations

import queue
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

from atomos import Atom, Ref, check, dosync
from benchmarks.measure import in_ns, ratios, take_turns
from benchmarks.result import Figure, Row, Unit, Work, no_bound
from benchmarks.threads import seconds_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.measure import Round, Settings

PLACES = 16


# Hand-over


class Buffer:
    """A bounded buffer, as in docs/waiting.md."""

    def __init__(self, places: int) -> None:
        self.places = places
        self.items: Ref[tuple[int, ...]] = Ref(())

    @dosync
    def put(self, item: int) -> None:
        """Append an item, when there is a place."""
        items = self.items.deref()
        check(len(items) < self.places)
        self.items.set((*items, item))

    @dosync
    def get(self) -> int:
        """Return the oldest item, when there is one."""
        items = self.items.deref()
        check(items)
        self.items.set(items[1:])
        return items[0]


def hand_over(make: Callable[[int], Any], count: int, pairs: int) -> Round:
    """Return a round in which `pairs` producers hand `count` items to consumers."""
    each = count // pairs

    def one_round() -> float:
        buffer = make(PLACES)

        def produce() -> None:
            for number in range(each):
                buffer.put(number)

        def consume() -> None:
            for _ in range(each):
                buffer.get()

        return seconds_for([produce, consume] * pairs) / (each * pairs)

    return one_round


def measure_hand_over(settings: Settings) -> dict[str, Figure]:
    """Compare a buffer of one Ref with `queue.Queue`."""
    count = settings.count(20_000, least=4)
    contestants = {
        f"{name}, {pairs} to {pairs}": hand_over(make, count, pairs)
        for name, make in (("Ref", Buffer), ("queue.Queue", queue.Queue))
        for pairs in (1, 4)
    }
    figures = take_turns(contestants, settings.rounds)
    return {
        f"hand-over-{pairs}": Figure(
            ratios(
                figures[f"Ref, {pairs} to {pairs}"],
                figures[f"queue.Queue, {pairs} to {pairs}"],
            ),
            in_ns(figures),
        )
        for pairs in (1, 4)
    }


# Wake-up


class Waited:
    """A number that can be waited for, with an Atom."""

    def __init__(self) -> None:
        self._number = Atom(0)

    def wait(self, number: int) -> None:
        """Wait for it."""
        self._number.wait_for(partial(int.__eq__, number))

    def become(self, number: int) -> None:
        """Change it."""
        self._number.reset(number)


class WaitedByHand:
    """The same with a condition variable."""

    def __init__(self) -> None:
        self._number = 0
        self._changed = threading.Condition()

    def wait(self, number: int) -> None:
        """Wait for it."""
        with self._changed:
            while self._number != number:
                self._changed.wait()

    def become(self, number: int) -> None:
        """Change it."""
        with self._changed:
            self._number = number
            self._changed.notify_all()


def ping_pong(make: Callable[[], Any], turns: int) -> Round:
    """Return a round in which two threads wake each other; seconds per wake-up."""

    def one_round() -> float:
        ping, pong = make(), make()

        def first() -> None:
            for number in range(1, turns + 1):
                ping.become(number)
                pong.wait(number)

        def second() -> None:
            for number in range(1, turns + 1):
                ping.wait(number)
                pong.become(number)

        return seconds_for([first, second]) / (2 * turns)

    return one_round


def measure_wake_up(settings: Settings) -> dict[str, Figure]:
    """Compare `wait_for` with `threading.Condition`."""
    turns = settings.count(3_000)
    figures = take_turns(
        {
            "wait_for": ping_pong(Waited, turns),
            "Condition": ping_pong(WaitedByHand, turns),
        },
        settings.rounds,
    )
    values = ratios(figures["wait_for"], figures["Condition"])
    return {"wake-up": Figure(values, in_ns(figures))}


WORKS = (
    Work(
        tuple(
            Row(
                f"hand-over-{pairs}",
                f"hand-over of an item, {pairs} to {pairs} threads / queue.Queue",
                no_bound(Unit.TIMES),
            )
            for pairs in (1, 4)
        ),
        measure_hand_over,
    ),
    Work(
        (
            Row(
                "wake-up",
                "wake-up of a thread in wait_for / threading.Condition",
                no_bound(Unit.TIMES),
            ),
        ),
        measure_wake_up,
    ),
)
