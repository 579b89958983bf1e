"""Memory of a Ref, an Atom, an AtomicInteger and an old version, by tracemalloc."""

from __future__ import annotations

import gc
import threading
import tracemalloc
from contextlib import ExitStack, contextmanager
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, Any

from atomos import Atom, Ref, dosync
from atomos.atomic import AtomicInteger
from benchmarks import peers
from benchmarks.measure import take_turns
from benchmarks.result import Figure, Row, Unit, Work, at_most
from benchmarks.rows_calls import old_atomos

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.measure import Round, Settings

    Figures = dict[str, Figure]

#: The figures hardly differ from round to round.
MOST_ROUNDS = 5


@contextmanager
def traced() -> Iterator[Callable[[], int]]:
    """Give a function that returns the bytes allocated, and still in use, since."""
    tracemalloc.start()
    try:
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]

        def now() -> int:
            gc.collect()
            return tracemalloc.get_traced_memory()[0] - before

        yield now
    finally:
        tracemalloc.stop()


def per_object(make: Callable[[int], Any], count: int) -> Round:
    """Return a round that makes `count` objects; the figure is bytes for one."""

    def one_round() -> float:
        places: list[Any] = [None] * count
        with traced() as allocated:
            for index in range(count):
                places[index] = make(index % 100)  # small ints exist already
            return allocated() / count

    return one_round


def written_ref(value: int) -> Ref[int]:
    """Return a ref that a transaction has written."""
    ref = Ref(value)
    write(ref, value)
    return ref


def measure_objects(settings: Settings) -> Figures:
    """Measure what one object takes; the peers' stand beside."""
    count, fewer = settings.count(100_000), settings.count(2_000)
    makers: dict[str, Round] = {
        "memory-ref": per_object(Ref, count),
        "memory-atom": per_object(Atom, count),
        "memory-integer": per_object(AtomicInteger, count),
        "Ref once written": per_object(written_ref, fewer),
    }
    old, _ = old_atomos(settings)
    if old is not None:
        makers["Atom 0.3.1"] = per_object(old.atom, fewer)
        makers["AtomicInteger 0.3.1"] = per_object(old.integer, fewer)
    if settings.use_peers:
        try:
            makers["stm"] = per_object(peers.stm().TVar, fewer)
        except peers.PeerError:
            pass
    rounds = min(settings.rounds, MOST_ROUNDS)
    figures = take_turns(makers, rounds, warm_up=False)
    beside = {
        "memory-ref": ("Ref once written", "stm"),
        "memory-atom": ("Atom 0.3.1",),
        "memory-integer": ("AtomicInteger 0.3.1",),
    }
    words = {
        key: ", ".join(
            f"{n} {median(figures[n]):,.0f} bytes" for n in names if n in figures
        )
        for key, names in beside.items()
    }
    return {key: Figure(figures[key], words[key]) for key in beside}


# Old versions


class ParkedReader:
    """A thread that holds a snapshot open, from `open` until the end of the block."""

    def __init__(self) -> None:
        self._go = threading.Event()
        self._is_open = threading.Event()
        self._leave = threading.Event()
        self._thread = threading.Thread(target=self._work)

    def _work(self) -> None:
        self._go.wait()
        with dosync(read_only=True):
            self._is_open.set()
            self._leave.wait()

    def __enter__(self) -> ParkedReader:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._go.set()
        self._leave.set()
        self._thread.join()

    def open(self) -> None:
        """Have the thread open its snapshot now."""
        self._go.set()
        if not self._is_open.wait(60):
            raise TimeoutError("a reader did not open its snapshot")


@dosync
def write(ref: Ref[int], value: int) -> None:
    """Set one ref."""
    ref.set(value)


def per_version(refs_count: int, depth: int) -> Round:
    """Return a round in which each ref keeps `depth` old versions."""

    def one_round() -> float:
        with ExitStack() as stack:
            readers = [stack.enter_context(ParkedReader()) for _ in range(depth)]
            # What a write replaces counts as freed only if it was traced.
            allocated = stack.enter_context(traced())
            refs = [Ref(0) for _ in range(refs_count)]
            for ref in refs:
                write(ref, 0)
            grown = 0
            for value, reader in enumerate(readers):
                reader.open()  # what the snapshot itself takes is not counted
                grown -= allocated()
                for ref in refs:
                    write(ref, value)
                grown += allocated()
            kept = {ref.history_count for ref in refs}
            assert kept == {depth}, f"versions kept: {kept}, not {depth}"
            return grown / (refs_count * depth)

    return one_round


def measure_versions(settings: Settings, key: str, refs: int, depth: int) -> Figures:
    """Measure `depth` old versions for each of `refs` refs."""
    rounds = min(settings.rounds, MOST_ROUNDS)
    one_round = per_version(settings.count(refs), depth)
    return {key: Figure(take_turns({key: one_round}, rounds, warm_up=False)[key])}


def _bytes(key: str, title: str, limit: int) -> Row:
    return Row(key, title, at_most(limit, Unit.BYTES))


WORKS = (
    Work(
        (
            _bytes("memory-ref", "memory of a Ref", 256),
            _bytes("memory-atom", "memory of an Atom", 256),
            _bytes("memory-integer", "memory of an AtomicInteger", 256),
        ),
        measure_objects,
    ),
    Work(
        (_bytes("memory-version", "memory of an old version, 1 per ref", 150),),
        partial(measure_versions, key="memory-version", refs=20_000, depth=1),
    ),
    Work(
        (_bytes("memory-version-deep", "memory of an old version, 20 per ref", 150),),
        partial(measure_versions, key="memory-version-deep", refs=500, depth=20),
    ),
)
