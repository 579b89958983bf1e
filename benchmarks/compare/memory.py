"""Memory of one object, and of one old version of its value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from atomos import Atom, AtomicInteger, Ref
from benchmarks.compare.atomics import Locked, installed
from benchmarks.compare.contestant import NOT_WANTED, OURS, OWN
from benchmarks.peers import PeerError, old_atomos, stm
from benchmarks.rows_memory import per_object, per_version

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from benchmarks.measure import Settings

OBJECT, VERSION = "memory-object", "memory-version"
TITLES = {
    OBJECT: "memory of one object",
    VERSION: "memory of one old version of a ref",
}
#: The measure.
BYTES = "bytes"
#: Old versions of each ref.
DEPTH = 20

#: Contestant -> returns what makes an object that holds a number.
MAKERS: Mapping[str, Callable[[], Callable[[int], Any]]] = {
    OURS: lambda: Ref,
    "atomos Atom": lambda: Atom,
    "atomos AtomicInteger": lambda: AtomicInteger,
    "atomos 0.3.1 Atom": lambda: old_atomos().atom,
    "atomos 0.3.1 AtomicInteger": lambda: old_atomos().integer,
    "cereggii AtomicRef": lambda: installed("cereggii").AtomicRef,
    "cereggii AtomicInt64": lambda: installed("cereggii").AtomicInt64,
    "ft_utils AtomicInt64": lambda: installed("ft_utils.concurrency").AtomicInt64,
    "stm TVar": lambda: stm().TVar,
    "object with a lock": lambda: lambda _: Locked(),
}


def memory_round(settings: Settings) -> dict[str, dict[str, float | str]]:
    """Return OBJECT and VERSION -> contestant -> bytes, or why there are none."""
    objects: dict[str, float | str] = {}
    for name, maker in MAKERS.items():
        try:
            if not settings.use_peers and name not in OWN:
                raise PeerError(NOT_WANTED)
            objects[name] = per_object(maker(), settings.count(5_000))()
        except PeerError as error:
            objects[name] = str(error)
    version = per_version(settings.count(500), DEPTH)()
    return {OBJECT: objects, VERSION: {OURS: version}}
