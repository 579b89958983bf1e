"""A trace of all attempts, in the file format that the Chrome browser defined.

Each thread has a row of bars: its attempts, and within or before them its waits. An
attempt that begins while another one of its thread is open (in `outside`, or in another
task) gets a row below. An arrow leads from the attempt whose commit caused a
conflict to the one that was lost, or to the end of the wait.

Each thread keeps up to `FLUSH` bars, and then writes them. Where the culprit is not a
transaction that was traced (an atom alone, for instance), there is no arrow.

Nothing that happens to the file reaches a transaction: the first error is raised at the
end of the trace.

Source: "Trace Event Format", by the Chromium project
"""

from __future__ import annotations

import threading
from _thread import allocate_lock
from collections import deque
from contextlib import contextmanager
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from atomos.stm._arrows import Arrows
from atomos.stm._attempts import Listener
from atomos.stm._causes import Cause, Wait
from atomos.stm._hearing import listen, unlisten
from atomos.stm._registry import my_record
from atomos.stm._rows import (
    COLOURS,
    RUNNING,
    STILL_RUNNING,
    WAITING,
    Open,
    Thread,
    bar_of,
)
from atomos.stm._runner import commit_number
from atomos.stm._tracefile import Bar, TraceFile, bar_event, row_event

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from atomos.stm._attempts import Attempt
    from atomos.stm._tracefile import Event
    from atomos.stm._transaction import Transaction

__all__ = ["trace"]

#: Bars of a thread that are kept before they are written.
FLUSH = 500


class _Mine(threading.local):
    """What is kept for the calling thread; None before it is seen."""

    thread: Thread | None = None


class Tracer(Listener):
    """Writes what it hears to a file.

    A signal handler may run a transaction in the middle of anything here. So no
    transaction waits for `_writing`, which its own thread may have: what cannot be
    written now is kept.

    Attributes:
        _zero: `time.perf_counter_ns` at the begin.
        _threads: Those that have bars.
        _rows: Rows so far. Changed under `_lock`, where nothing is called.
        _heads: What names the rows that are new.
        _closed: Nothing is written any more. Set under `_writing`.
        _writing: Held by who writes.
    """

    hears_begin = True

    def __init__(self, file: TraceFile) -> None:
        """Write to `file`, which is open."""
        self._file = file
        self._zero = perf_counter_ns()
        self._mine = _Mine()
        self._threads: dict[Thread, None] = {}
        self._rows = 0
        self._heads: deque[Event] = deque()
        self._arrows = Arrows()
        self._closed = False
        self._lock = allocate_lock()
        self._writing = allocate_lock()

    # What it hears of

    def begins(self, tx: Transaction, attempt: Attempt) -> None:
        """Find a place for an attempt, while there is somebody to write it."""
        if self._closed:
            return  # in the child of a fork this goes on for as long as it lives
        thread = self._mine.thread or self._register()
        lanes = thread.lanes
        lane = next((n for n, found in enumerate(lanes) if found is None), len(lanes))
        if lane == len(lanes):
            self._add_row(thread)
        found = Open(thread, lane, tx.label, tx.attempts + 1, attempt)
        lanes[lane] = found
        attempt.notes = {**attempt.notes, self: found}

    def ended(
        self, tx: Transaction, attempt: Attempt, cause: Cause, ref: str | None, end: int
    ) -> None:
        """Draw an attempt, and an arrow if it was lost to somebody."""
        found: Open | None = attempt.notes.get(self)
        if found is None:
            return
        args: dict[str, Any] = {"outcome": cause.value}
        if ref is not None:
            args["lost to"] = ref
        if cause is Cause.COMMITTED:
            number = commit_number(tx)
            if number:
                args["commit"] = number
                self._arrows.start(number, found.row, attempt.start, end)
        elif attempt.culprit:
            args["lost to commit"] = attempt.culprit
            self._arrows.end(attempt.culprit, found.row, end - 1)
        bar = bar_of(found, cause.value, COLOURS[cause], end, args)
        # The bar first: a thread that has ended is forgotten once its lanes are free.
        found.thread.bars.append(bar)
        found.thread.lanes[found.lane] = None
        self._flush_if_due(found.thread)

    def failed(self, tx: Transaction, attempt: Attempt, cause: Cause) -> None:
        """Give the place of an attempt that never began to others."""
        found: Open | None = attempt.notes.get(self)
        if found is not None and found.thread.lanes[found.lane] is found:
            found.thread.lanes[found.lane] = None

    def waited(
        self,
        tx: Transaction,
        attempt: Attempt,
        wait: Wait,
        what: str,
        culprit: int,
        times: tuple[int, int],
    ) -> None:
        """Draw a wait, and an arrow if a commit has ended it."""
        found: Open | None = attempt.notes.get(self)
        if found is None:
            return
        args: dict[str, Any] = {"for": what}
        if culprit:
            args["ended by commit"] = culprit
            self._arrows.end(culprit, found.row, times[1] - 1)
        name = f"{found.label} #{found.number} waits: {wait.value}"
        self._keep(
            found.thread, Bar(found.row, name, f"wait,{wait}", WAITING, *times, args)
        )

    def forked(self) -> None:
        """Leave the file to the parent."""
        self._lock, self._writing = allocate_lock(), allocate_lock()
        self._closed = True
        self._file.drop()

    # Keeping and writing

    def _register(self) -> Thread:
        """Add the calling thread."""
        thread = Thread(my_record(), threading.current_thread().name)
        self._threads[thread] = None
        self._mine.thread = thread
        self._flush(None)  # perhaps others have ended
        return thread

    def _add_row(self, thread: Thread) -> None:
        with self._lock:
            self._rows += 1
            row = self._rows
        below = f" ({len(thread.rows) + 1})" if thread.rows else ""
        self._heads.append(row_event(row, thread.name + below))
        thread.rows.append(row)
        thread.lanes.append(None)

    def _keep(self, thread: Thread, bar: Bar) -> None:
        thread.bars.append(bar)
        self._flush_if_due(thread)

    def _flush_if_due(self, thread: Thread) -> None:
        if len(thread.bars) >= FLUSH:
            self._flush(thread)

    def _flush(self, thread: Thread | None) -> None:
        """Write what `thread` and those that have ended have kept, if nobody writes."""
        if not self._writing.acquire(blocking=False):
            return
        try:
            if not self._closed:
                over = [one for one in self._threads.copy() if one.is_over()]
                events = [event for one in over for event in self._drain(one)]
                for one in over:
                    del self._threads[one]
                if thread is not None:
                    events += self._drain(thread)
                self._write(events)
        finally:
            self._writing.release()

    def _drain(self, thread: Thread) -> list[Event]:
        """Take the bars that `thread` has kept."""
        bars = [thread.bars.popleft() for _ in range(len(thread.bars))]
        return [bar_event(bar, self._zero) for bar in bars]

    def _write(self, events: list[Event]) -> None:
        """Write events, and the arrows that can be drawn."""
        heads = [self._heads.popleft() for _ in range(len(self._heads))]
        self._file.write(heads + events + self._arrows.events(self._zero))

    def close(self) -> None:
        """Write all that is left, and what is still running, and close the file."""
        now = perf_counter_ns()
        with self._writing:
            if self._closed:
                return
            for thread in self._threads.copy():
                # Before the bars: one that is about to end may have its bar already.
                lanes = list(thread.lanes)
                events = self._drain(thread)
                drawn = {
                    (event["tid"], event["ts"])
                    for event in events
                    if event["cat"].startswith("attempt,")
                }
                for found in lanes:
                    if found is not None and 0 < found.attempt.start <= now:
                        args = {"outcome": STILL_RUNNING}
                        bar = bar_of(found, STILL_RUNNING, RUNNING, now, args)
                        event = bar_event(bar, self._zero)
                        if (event["tid"], event["ts"]) not in drawn:
                            events.append(event)
                self._write(events)
            self._closed = True
            self._file.close()


@contextmanager
def trace(path: str | os.PathLike[str]) -> Iterator[None]:
    """Write what all transactions do inside of a ``with`` to a file.

    The file is JSON in the trace-event format; https://ui.perfetto.dev and
    ``chrome://tracing`` open it. Each thread is a row, each attempt a bar that says how
    it ended, each wait a bar before or inside of it. An arrow leads from the commit
    that caused a conflict to the attempt that was lost.

    The file is written while the program runs, and is whole at the end even if that is
    an exception. What is kept in memory does not grow with time. Atoms and atomics
    outside of a transaction are not drawn.

    Args:
        path: Where to write; a file that is there is replaced.

    Raises:
        TypeError: `path` is no path.
        TraceFileError: The file cannot be opened, or another trace is being written
            to it; nothing has run. At the end: something could not be written.

    Cost: about 10 µs for each attempt (CPython 3.11), and nothing when it has ended.

    Example:
        >>> import json, os, tempfile
        >>> from atomos import Ref, dosync
        >>> from atomos.stm import trace
        >>> stock = Ref(3)
        >>> @dosync
        ... def sell():
        ...     stock.alter(lambda n: n - 1)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "trace.json")
        ...     with trace(path):
        ...         sell()
        ...     with open(path) as file:
        ...         events = json.load(file)["traceEvents"]
        >>> [event["name"] for event in events if event["ph"] == "X"]
        ['sell #1: committed']
    """
    file = TraceFile(path)
    tracer = Tracer(file)
    listen(tracer)
    try:
        yield
    finally:
        unlisten(tracer)
        tracer.close()
    file.raise_error()
