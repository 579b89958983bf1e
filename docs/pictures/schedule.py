"""Draws the table of a failing schedule: ``python docs/pictures/schedule.py``.

Two doctors are on call, and each may leave while the other stays. Under snapshot
isolation both leave.
"""

from __future__ import annotations

from html import escape
from pathlib import Path

from atomos import Ref, dosync
from atomos.testing import explore

LINE = 20
CHARACTER = 8.4
COLOURS = ("#dbeafe", "#fde68a")


def setup():
    """Return the two, both on call."""
    return Ref(True, name="alice"), Ref(True, name="bob")


def leaves(me, other):
    """Return a body that leaves if the other one stays."""

    @dosync(isolation="snapshot", name="leave")
    def leave(refs):
        if refs[other].deref():
            refs[me].set(False)

    return leave


def one_stays(refs, run):
    """Check that somebody is on call."""
    assert any(ref.deref() for ref in refs)


def failing_table():
    """Return the table of the first schedule that fails, line by line."""
    try:
        explore(leaves(0, 1), leaves(1, 0), setup=setup, check=one_stays)
    except AssertionError as error:
        return error.__notes__[0].splitlines()
    raise AssertionError("no schedule fails")


def drawn(lines):
    """Return the lines as SVG, each step in the colour of its thread."""
    width = int(max(map(len, lines)) * CHARACTER) + 24
    height = len(lines) * LINE + 16
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        'font-family="monospace" font-size="14">',
        f'<rect width="{width}" height="{height}" fill="white" stroke="#999"/>',
    ]
    column = lines[1].index("thread")
    for number, line in enumerate(lines):
        top = number * LINE + 8
        who = line[column : column + 1]
        if number > 1 and who.isdigit():
            colour = COLOURS[int(who) % len(COLOURS)]
            parts.append(
                f'<rect x="1" y="{top}" width="{width - 2}" height="{LINE}" '
                f'fill="{colour}"/>'
            )
        text = escape(line).replace(" ", "\N{NO-BREAK SPACE}")
        parts.append(f'<text x="12" y="{top + 15}">{text}</text>')
    return "\n".join([*parts, "</svg>", ""])


if __name__ == "__main__":
    picture = Path(__file__).with_suffix(".svg")
    picture.write_text(drawn(failing_table()), encoding="utf-8")
