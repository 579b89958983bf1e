"""The demo's threads: some add files to the index, one audits it meanwhile."""

from __future__ import annotations

import threading
import tokenize
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

from atomos import Atom
from atomos._demo.corpus import names_in
from atomos.atomic import AtomicInteger

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from atomos._demo.corpus import Source
    from atomos._demo.index import Index
    from atomos._demo.screen import Show

__all__ = ["UNREADABLE", "Failures", "Work"]

#: What is raised by a file that cannot be indexed.
UNREADABLE = (OSError, SyntaxError, tokenize.TokenError, UnicodeError)

#: The files that could not be read, each with the reason.
Failures = tuple[tuple[str, str], ...]

#: How the names of the threads begin.
NAME = "atomos-demo"

#: Seconds between two audits. Without a rest they take half of the time.
REST = 0.02


class Work:
    """What the threads do, and what they counted.

    Attributes:
        failures: Files that could not be read, so far.
        reruns: How often a transaction that adds a file had to run again.
        snapshots: How many snapshots were audited.
        snapshot_reruns: How often a snapshot had to be read again.
        complaints: What the audits found wrong.
    """

    def __init__(self, index: Index, sources: Sequence[Source]) -> None:
        """Prepare to add `sources` to `index`."""
        empty: Failures = ()
        self.failures = Atom(empty)
        self.reruns = AtomicInteger(0)
        self.snapshots = 0
        self.snapshot_reruns = 0
        self.complaints: list[str] = []
        self._index = index
        self._sources = sources
        self._next = AtomicInteger(0)
        self._stop = threading.Event()

    def done(self) -> int:
        """Return how many files are indexed or given up by now."""
        return self._index.files.get() + len(self.failures.deref())

    def run(self, threads: int, watch: Show) -> None:
        """Add every file, in so many threads, with an auditor beside them.

        Args:
            threads: How many threads add files.
            watch: Called with `done` a few times each second.

        Raises:
            KeyboardInterrupt: The threads have ended; what they did stays done.
            Exception: Any error in a thread that no file is to blame for.
        """
        # Thread.join is not used: when a signal interrupts it, CPython 3.11 and 3.12
        # count a thread that still runs as ended, and the next join returns at once.
        with ThreadPoolExecutor(threads + 1, thread_name_prefix=NAME) as pool:
            workers = [
                pool.submit(self._guarded, self._add_files) for _ in range(threads)
            ]
            auditor = pool.submit(self._guarded, self._audit)
            try:
                while wait(workers, timeout=0.1).not_done:
                    watch(self.done())
            finally:
                self._stop.set()
        for ended in (*workers, auditor):
            ended.result()

    def _guarded(self, job: Callable[[], None]) -> None:
        try:
            job()
        except BaseException:
            self._stop.set()  # nobody goes on after an error
            raise

    def _add_files(self) -> None:
        while not self._stop.is_set():
            number = self._next.get_and_add(1)
            if number >= len(self._sources):
                return
            source = self._sources[number]
            try:
                names = names_in(source.path)
            except UNREADABLE as error:
                failure = (str(source.path), f"{type(error).__name__}: {error}")
                self.failures.swap(lambda all_, one: (*all_, one), failure)
            else:
                self.reruns.add_and_get(self._index.add(source, names) - 1)

    def _audit(self) -> None:
        while True:
            last = self._stop.is_set()  # so one audit sees the finished index
            found, runs = self._index.snapshot()
            self.complaints += found.complaints()
            self.snapshots += 1
            self.snapshot_reruns += runs - 1
            if last or self.complaints:
                return
            self._stop.wait(REST)
