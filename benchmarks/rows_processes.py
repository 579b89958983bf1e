"""Cells that processes share, on both engines: add_and_get, and the transfer.

One process calls. What is compared with a manager is measured on the wall, since that
works in another process.
By hand, a transfer is a write transaction of the engine with two reads and two writes
of pickled numbers.
"""

from __future__ import annotations

import pickle
import sqlite3
import tempfile
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from operator import add, sub
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from atomos import dosync, multiprocessing
from atomos.multiprocessing._anonymous import base
from atomos.multiprocessing._choice import best_engine
from benchmarks import peers
from benchmarks.measure import in_ns, per_call, ratios, take_turns
from benchmarks.result import Figure, Row, Unit, Work, at_least, at_most, no_bound

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.measure import Settings

KEYS = (b"a", b"b")
#: Old values that are added to by reading and comparing, as one had to.
OLD_ADD = "while not thing.compare_and_set(value := thing.get(), value + 1): pass"


def no_lmdb() -> str:
    """Return why LMDB makes no sense here, or ""."""
    return "" if best_engine() == "lmdb" else "lmdb is not installed, or brings the GIL"


@contextmanager
def by_hand_lmdb(folder: str) -> Iterator[Callable[[], None]]:
    """Yield a transfer with py-lmdb and pickle alone."""
    lmdb: Any = import_module("lmdb")
    path = str(Path(folder, "by_hand"))
    env = lmdb.open(path, map_size=1 << 30, sync=False, metasync=False)
    with env.begin(write=True) as txn:
        for key in KEYS:
            txn.put(key, pickle.dumps(0))

    def transfer() -> None:
        with env.begin(write=True) as txn:
            one, other = (pickle.loads(txn.get(key)) for key in KEYS)
            txn.put(b"a", pickle.dumps(one - 1))
            txn.put(b"b", pickle.dumps(other + 1))

    yield transfer
    env.close()


@contextmanager
def by_hand_sqlite(folder: str) -> Iterator[Callable[[], None]]:
    """Yield a transfer with sqlite3 and pickle alone."""
    path = str(Path(folder, "by_hand"))
    connection = sqlite3.connect(path, isolation_level=None)
    execute = connection.execute
    execute("PRAGMA journal_mode=WAL")
    execute("PRAGMA synchronous=OFF")
    execute("CREATE TABLE t (key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID")
    for key in KEYS:
        execute("INSERT INTO t VALUES (?, ?)", (key, pickle.dumps(0)))
    get = "SELECT value FROM t WHERE key = ?"
    put = "UPDATE t SET value = ? WHERE key = ?"

    def transfer() -> None:
        execute("BEGIN IMMEDIATE")
        one, other = (pickle.loads(execute(get, (key,)).fetchone()[0]) for key in KEYS)
        execute(put, (pickle.dumps(one - 1), b"a"))
        execute(put, (pickle.dumps(other + 1), b"b"))
        execute("COMMIT")

    yield transfer
    connection.close()


BY_HAND = {"lmdb": by_hand_lmdb, "sqlite": by_hand_sqlite}


def measure(engine: str, settings: Settings) -> dict[str, Figure]:
    """Compare add_and_get with 0.3.1, and the transfer with one by hand."""
    calls = settings.count(4_000)
    with tempfile.TemporaryDirectory(dir=base()) as folder:
        with (
            multiprocessing.open(Path(folder, "space"), engine=engine) as space,
            BY_HAND[engine](folder) as by_hand,
        ):
            one, other = (space.ref(name, default=0) for name in "ab")

            @dosync
            def transfer() -> None:
                one.alter(sub, 1)
                other.alter(add, 1)

            hits = space.integer("hits")
            contestants = {
                "transfer": per_call("thing()", transfer, calls),
                "by hand": per_call("thing()", by_hand, calls),
                "add": per_call("thing.add_and_get(1)", hits, calls, perf_counter),
            }
            reason = "peer not wanted"
            if settings.use_peers:
                try:
                    old = peers.old_shared()(0)
                    rounds = {"0.3.1": OLD_ADD, "one call": "thing.get_and_set(1)"}
                    for name, statement in rounds.items():
                        contestants[name] = per_call(
                            statement, old, calls, perf_counter
                        )
                except peers.PeerError as error:
                    reason = f"peer not available: {error}"
            figures = take_turns(contestants, settings.rounds)
    words = in_ns(figures)
    old_add = old_call = Figure(missing=reason)
    if "0.3.1" in figures:
        old_add = Figure(ratios(figures["0.3.1"], figures["add"]), words)
        old_call = Figure(ratios(figures["one call"], figures["add"]), words)
    return {
        f"{engine}-transfer": Figure(
            ratios(figures["transfer"], figures["by hand"]), words
        ),
        f"{engine}-add-old": old_add,
        f"{engine}-call-old": old_call,
    }


def _rows(engine: str, name: str, bounded: bool) -> tuple[Row, ...]:
    shared = "AtomicInteger.add_and_get of processes"
    return (
        Row(
            f"{engine}-transfer",
            f"transfer of processes, {name} / the same by hand",
            at_most(4) if bounded else no_bound(Unit.TIMES),
        ),
        Row(
            f"{engine}-add-old",
            f"{shared}, {name}, against adding to 0.3.1",
            at_least(5) if bounded else no_bound(Unit.FASTER),
        ),
        Row(
            f"{engine}-call-old",
            f"{shared}, {name}, against one call of 0.3.1",
            no_bound(Unit.FASTER),
        ),
    )


WORKS = (
    Work(_rows("lmdb", "LMDB", True), partial(measure, "lmdb"), no_lmdb),
    Work(_rows("sqlite", "SQLite", False), partial(measure, "sqlite")),
)
