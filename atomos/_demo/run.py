"""The demo from its options to its exit status."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

from atomos._demo import corpus, screen
from atomos._demo.index import Index
from atomos._demo.threads import UNREADABLE, Work

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from atomos._demo.corpus import Source
    from atomos._demo.screen import Show

__all__ = ["demo", "main", "positive", "short_turns"]

FAILED, INTERRUPTED = 1, 130

#: Seconds after which a thread gives the GIL to one that waits for it. In Python's
#: own 5 ms a transaction fits many times over, so that two of them hardly ever meet.
TURN = 0.0002


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo with the options given; return the exit status."""
    options = _parse(arguments)
    folders = [corpus.standard_library()]
    if options.packages:
        folders += corpus.installed()
    sources = [source for folder in folders for source in corpus.find_sources(folder)]
    if not sources:
        screen.say(f"There are no Python files in {', '.join(map(str, folders))}.")
        return FAILED
    return demo(sources[: options.limit], options.threads)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m atomos",
        description="Several threads count the names in the Python standard library. "
        "Each file is one transaction. Another thread checks, all the while, that "
        "the totals agree; in the end the result is compared with a count by one "
        "thread.",
        epilog="Other commands: `python -m atomos top` shows the hottest transactions "
        "of a bank at work, `python -m atomos trace FILE` writes a trace of the demo.",
    )
    parser.add_argument(
        "--threads",
        type=positive,
        default=max(2, min(os.cpu_count() or 2, 8)),
        metavar="N",
        help="threads that add files (default here: %(default)s)",
    )
    parser.add_argument(
        "--limit", type=positive, metavar="N", help="stop after the first N files"
    )
    parser.add_argument(
        "--packages", action="store_true", help="add the installed packages"
    )
    return parser.parse_args(arguments)


def positive(text: str) -> int:
    """Return a number of the command line, which is to be positive."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        msg = f"must be a whole number from 1 on, not {text!r}"
        raise argparse.ArgumentTypeError(msg)
    return number


def demo(sources: Sequence[Source], threads: int) -> int:
    """Index `sources` with `threads` threads; print the result.

    Returns:
        0, or 1 if anything differs from the count by one thread, or 130 when
        interrupted.
    """
    index = Index({source.package for source in sources})
    work = Work(index, sources)
    screen.say(
        f"{len(sources)} files, {threads} threads and 1 auditor, Python "
        f"{sys.version.split()[0]}, {_gil()}"
    )
    try:
        start = time.perf_counter()
        with (
            short_turns(),
            screen.progress("Indexing in transactions", len(sources)) as show,
        ):
            work.run(threads, show)
        middle = time.perf_counter()
        with screen.progress("Checking with one thread", len(sources)) as show:
            expected = _count_alone(sources, show)
        end = time.perf_counter()
    except KeyboardInterrupt:
        screen.say(f"\nInterrupted: {work.done()} of {len(sources)} files were done.")
        return INTERRUPTED
    complaints = work.complaints + _differences(index, expected)
    _report(index, work, (middle - start, end - middle), equal=not complaints)
    for complaint in complaints:
        screen.say(f"WRONG: {complaint}")
    return FAILED if complaints else 0


def _gil() -> str:
    if getattr(sys, "_is_gil_enabled", lambda: True)():
        return f"GIL on, turns of {TURN * 1000:.1f} ms"
    return "GIL off"


@contextmanager
def short_turns() -> Iterator[None]:
    """Have threads take turns that are shorter than usual."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(TURN)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def _count_alone(
    sources: Sequence[Source], show: Show
) -> list[tuple[Source, Counter[str]]]:
    """Count each readable file, without threads and transactions."""
    counted = []
    for number, source in enumerate(sources, 1):
        try:
            counted.append((source, corpus.names_in(source.path)))
        except UNREADABLE:
            pass
        if number % 10 == 0 or number == len(sources):
            show(number)
    return counted


def _differences(
    index: Index, counted: Sequence[tuple[Source, Counter[str]]]
) -> list[str]:
    """Return in what the finished index differs from the files counted."""
    found, _ = index.snapshot()
    names: Counter[str] = Counter()
    packages: Counter[str] = Counter()
    longest = 0
    for source, count in counted:
        names.update(count)
        packages[source.package] += count.total()
        longest = max(longest, count.total())
    by_package = {name: tally.names for name, tally in found.packages.items()}
    checks = [
        ("files", found.files, len(counted)),
        ("the total of names", found.names, names.total()),
        ("the longest file", found.longest[0], longest),
        ("the count of each name", Counter(found.counts()), names),
        ("the count of each package", Counter(by_package), packages),
    ]
    return [
        f"{what}: the transactions and the single thread differ{_numbers(got, wanted)}"
        for what, got, wanted in checks
        if got != wanted
    ]


def _numbers(got: object, wanted: object) -> str:
    return f", {got} and {wanted}" if isinstance(got, int) else ""


def _report(
    index: Index, work: Work, seconds: tuple[float, float], *, equal: bool
) -> None:
    found, _ = index.snapshot()
    failures = work.failures.deref()
    common = Counter(found.counts()).most_common(3)
    rows = [
        ("Files indexed (commits)", f"{found.files:,}"),
        ("Runs made again (retries)", f"{work.reruns.get():,}"),
        ("Files that could not be read", f"{len(failures):,}"),
        ("Names found", f"{found.names:,}"),
        ("Different names", f"{sum(map(len, found.buckets)):,}"),
        ("Most used", ", ".join(f"{name} {n:,}" for name, n in common)),
        ("Snapshots audited", f"{work.snapshots:,}"),
        ("Snapshots read again", f"{work.snapshot_reruns:,}"),
        ("Seconds with transactions", f"{seconds[0]:.1f}"),
        ("Seconds with one thread", f"{seconds[1]:.1f}"),
        ("Equal to the count by one thread", "yes" if equal else "NO"),
    ]
    screen.table("Result", rows)
    for name, reason in failures:
        screen.say(f"Not read: {name}: {reason}")
