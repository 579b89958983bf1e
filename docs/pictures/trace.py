"""Draws a trace as an SVG picture, and prints it.

It runs a small program under `atomos.stm.trace` and draws the part of the file in which
most arrows lie. With a file as its argument it draws that one.
"""

from __future__ import annotations

import json
import sys
import tempfile
import threading
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from atomos import Ref, check, dosync
from atomos.stm import trace

if TYPE_CHECKING:
    from collections.abc import Callable

WIDTH, LEFT, ROW, BAR, TOP = 960, 110, 46, 26, 34
#: Microseconds that are shown.
SPAN = 40_000.0
COLOURS = {
    "committed": "#4c9f70",
    "stale read": "#d1495b",
    "waited": "#8d99ae",
    "wait": "#ced4da",
    "other": "#edae49",
}


class Drawn(NamedTuple):
    """What of a trace is drawn: a span, its bars and its arrows."""

    start: float
    bars: list[dict[str, Any]]
    arrows: list[tuple[dict[str, Any], dict[str, Any]]]
    rows: dict[int, str]


def work() -> None:
    """Have four threads meet: two sell, one takes stock, one waits for orders."""
    stock, orders = Ref(1000, name="stock"), Ref(0, name="orders")

    def busy(steps: int) -> None:
        for _ in range(steps):
            pass

    @dosync(name="sell")
    def sell() -> None:
        left = stock.deref()
        busy(100_000)
        orders.alter(lambda n: n + 1)
        stock.set(left - 1)

    def take_stock() -> None:
        with dosync(name="take stock"):
            stock.alter(lambda n: n + 1)
            busy(100_000)

    @dosync(name="pack")
    def pack(done: int) -> None:
        check(orders.deref() > done)
        busy(50_000)

    ready = threading.Barrier(4)

    def sells() -> None:
        for _ in range(20):
            sell()

    def manages() -> None:
        for _ in range(10):
            busy(100_000)
            take_stock()

    def packs() -> None:
        for done in range(0, 40, 3):
            pack(done)

    def together(job: Callable[[], None]) -> None:
        ready.wait()
        job()

    jobs = {"seller 1": sells, "seller 2": sells, "manager": manages, "packer": packs}
    threads = [
        threading.Thread(target=together, args=(jobs[name],), name=name)
        for name in jobs
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def run() -> list[dict[str, Any]]:
    """Return the events of a run of `work`."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(0.0001)
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "trace.json"
            with trace(path):
                work()
            return read(path)
    finally:
        sys.setswitchinterval(before)


def read(path: Path) -> list[dict[str, Any]]:
    """Return the events of a file."""
    events: list[dict[str, Any]] = json.loads(path.read_text())["traceEvents"]
    return events


def choose(events: list[dict[str, Any]]) -> Drawn:
    """Return the span with the most arrows that lie in it as a whole."""
    ends = {one["id"]: one for one in events if one["ph"] == "f"}
    arrows = [(one, ends[one["id"]]) for one in events if one["ph"] == "s"]
    bars = [one for one in events if one["ph"] == "X"]

    def inside(start: float) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        return [
            (a, b) for a, b in arrows if start <= a["ts"] and b["ts"] <= start + SPAN
        ]

    starts = [one["ts"] - SPAN / 20 for one in bars]
    start = max(starts, key=lambda one: len(inside(one)))
    shown = [
        one
        for one in bars
        if one["ts"] < start + SPAN and one["ts"] + one["dur"] > start
    ]
    rows = {
        one["tid"]: one["args"]["name"]
        for one in events
        if one["name"] == "thread_name"
        and any(bar["tid"] == one["tid"] for bar in shown)
    }
    return Drawn(start, shown, inside(start), rows)


def kind(bar: dict[str, Any]) -> str:
    """Return which colour a bar has."""
    category, _, outcome = bar["cat"].partition(",")
    return (
        category if category == "wait" else outcome if outcome in COLOURS else "other"
    )


def draw(drawn: Drawn) -> str:
    """Return the picture."""
    places = {row: TOP + ROW * place for place, row in enumerate(drawn.rows)}
    height = TOP + ROW * len(places) + 50

    def across(time: float) -> float:
        return LEFT + min(max(time - drawn.start, 0), SPAN) / SPAN * (WIDTH - LEFT - 10)

    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        'font-family="sans-serif" font-size="11">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z"/></marker></defs>',
    ]
    for row, name in drawn.rows.items():
        lines.append(f'<text x="8" y="{places[row] + 17}">{escape(name)}</text>')
    for number in range(int(SPAN) // 5000 + 1):
        x = across(drawn.start + 5000 * number)
        lines += [
            f'<path d="M{x:.1f} {TOP - 8}V{height - 46}" stroke="#ddd"/>',
            f'<text x="{x:.1f}" y="{TOP - 14}" text-anchor="middle">'
            f"{5 * number} ms</text>",
        ]
    # Waits last: those inside of an attempt lie over it.
    for bar in sorted(drawn.bars, key=lambda one: kind(one) == "wait"):
        x, end = across(bar["ts"]), across(bar["ts"] + bar["dur"])
        inner = 5 if kind(bar) == "wait" else 0
        y, wide, high = places[bar["tid"]] + inner, end - x, BAR - 2 * inner
        lines.append(
            f'<g><title>{escape(bar["name"])}</title><rect x="{x:.1f}" y="{y}" '
            f'width="{max(wide, 1):.1f}" height="{high}" fill="{COLOURS[kind(bar)]}"/>'
        )
        text = bar["name"].partition(":")[0]
        if wide > 6.5 * len(text) and not inner:
            lines.append(
                f'<text x="{x + 4:.1f}" y="{y + 17}" fill="white">{text}</text>'
            )
        lines.append("</g>")
    for one, other in drawn.arrows:
        x, y = across(one["ts"]), places[one["tid"]] + BAR / 2
        to, down = across(other["ts"]), places[other["tid"]] + BAR / 2
        lines.append(
            f'<path d="M{x:.1f} {y}L{to:.1f} {down}" stroke="black" '
            'marker-end="url(#tip)"/>'
        )
    x = LEFT
    for name in sorted({kind(bar) for bar in drawn.bars}, key=list(COLOURS).index):
        lines += [
            f'<rect x="{x}" y="{height - 30}" width="12" height="12" '
            f'fill="{COLOURS[name]}"/>',
            f'<text x="{x + 17}" y="{height - 20}">{name}</text>',
        ]
        x += 110
    return "\n".join([*lines, "</svg>"])


if __name__ == "__main__":
    found = read(Path(sys.argv[1])) if sys.argv[1:] else run()
    print(draw(choose(found)))
