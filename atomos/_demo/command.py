"""Which command ``python -m atomos`` was given."""

from __future__ import annotations

import argparse
import math
import os
import sys
from typing import TYPE_CHECKING

from atomos._demo import corpus, run, screen
from atomos._demo.top import top
from atomos.errors import TraceFileError
from atomos.stm import trace

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

#: Files of the demo that are traced: enough to see threads meet, few enough to look at.
LIMIT = 200


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that was named, or the demo; return the exit status."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    commands = {"top": _top, "trace": _trace}
    try:
        if given and given[0] in commands:
            return commands[given[0]](given[1:])
        return run.main(given)
    except BrokenPipeError:
        # Who reads the output has seen enough. Python would write the rest at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return run.FAILED


def _top(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m atomos top",
        description="Threads of a bank move money, and a table shows which "
        "transactions take the most time, how their attempts end, and which refs "
        "they meet at. Ctrl-C ends it.",
    )
    parser.add_argument(
        "--threads",
        type=run.positive,
        default=4,
        metavar="N",
        help="threads that move money (default: %(default)s)",
    )
    parser.add_argument(
        "--seconds", type=_seconds, metavar="S", help="stop after so many seconds"
    )
    parser.add_argument(
        "--snapshot", action="store_true", help="print the table once, and end"
    )
    options = parser.parse_args(arguments)
    return top(options.threads, options.seconds, once=options.snapshot)


def _trace(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m atomos trace",
        description="Run the demo, and write a trace of its transactions: a row for "
        "each thread, a bar for each attempt and wait, and an arrow from the commit "
        "that caused a conflict to the attempt that was lost.",
    )
    parser.add_argument("file", metavar="FILE", help="where to write it, as JSON")
    parser.add_argument(
        "--threads",
        type=run.positive,
        default=4,
        metavar="N",
        help="threads that add files (default: %(default)s)",
    )
    parser.add_argument(
        "--limit",
        type=run.positive,
        default=LIMIT,
        metavar="N",
        help="stop after the first N files (default: %(default)s)",
    )
    options = parser.parse_args(arguments)
    folder = corpus.standard_library()
    sources = corpus.find_sources(folder)[: options.limit]
    if not sources:
        screen.say(f"There are no Python files in {folder}.")
        return run.FAILED
    try:
        with trace(options.file):
            status = run.demo(sources, options.threads)
    except TraceFileError as error:
        parser.error(str(error))
    screen.say(
        f"The trace is in {options.file}: open https://ui.perfetto.dev in a browser, "
        "and drop the file there. It stays on this computer."
    )
    return status


def _seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        msg = f"must be a number of seconds above 0, not {text!r}"
        raise argparse.ArgumentTypeError(msg)
    return number
