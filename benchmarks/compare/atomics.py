"""The contestants with one object: counters, and functions applied to a value."""

from __future__ import annotations

import importlib
import threading
from typing import TYPE_CHECKING, Any

from atomos import Atom, AtomicInteger, LongAdder
from benchmarks.compare.contestant import OURS, Single
from benchmarks.peers import PeerError, old_atomos

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def increment(value: int) -> int:
    """Return `value` plus 1."""
    return value + 1


def installed(name: str) -> Any:
    """Return the module `name`, of a package in the extra `peers`.

    Raises:
        PeerError: It cannot be imported.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise PeerError(f"{error}; the extra peers has it where it can be") from error


class Locked:
    """A number with a lock."""

    __slots__ = ("lock", "value")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.value = 0


def _value(locked: Locked) -> int:
    return locked.value


# Counters


def _add_and_get(integer: Any, times: int) -> None:
    for _ in range(times):
        integer.add_and_get(1)


def _add_locked(locked: Locked, times: int) -> None:
    for _ in range(times):
        with locked.lock:
            locked.value += 1


def _increment_and_get(integer: Any, times: int) -> None:
    for _ in range(times):
        integer.increment_and_get()


def _incr(integer: Any, times: int) -> None:
    for _ in range(times):
        integer.incr()


def _increment(adder: LongAdder, times: int) -> None:
    for _ in range(times):
        adder.increment()


def _get(thing: Any) -> int:
    return int(thing.get())


def _cereggii_counter() -> Single:
    integer = installed("cereggii").AtomicInt64
    return Single(lambda: integer(0), _increment_and_get, _get)


def _ft_utils_counter() -> Single:
    integer = installed("ft_utils.concurrency").AtomicInt64
    return Single(lambda: integer(0), _incr, _get)


def _old_counter() -> Single:
    integer = old_atomos().integer
    return Single(lambda: integer(0), _add_and_get, _get)


COUNTERS: Mapping[str, Callable[[], Single]] = {
    OURS: lambda: Single(lambda: AtomicInteger(0), _add_and_get, _get),
    "atomos LongAdder": lambda: Single(LongAdder, _increment, LongAdder.sum),
    "atomos 0.3.1": _old_counter,
    "cereggii": _cereggii_counter,
    "ft_utils": _ft_utils_counter,
    "lock": lambda: Single(Locked, _add_locked, _value),
}

# A function applied to a value. It runs outside of every lock, but for "lock".


def _swap(atom: Any, times: int) -> None:
    for _ in range(times):
        atom.swap(increment)


def _swap_locked(locked: Locked, times: int) -> None:
    for _ in range(times):
        with locked.lock:
            locked.value = increment(locked.value)


def _compare_and_set(reference: Any, times: int) -> None:
    for _ in range(times):
        old = reference.get()
        while not reference.compare_and_set(old, increment(old)):
            old = reference.get()


def _compare_exchange(reference: Any, times: int) -> None:
    for _ in range(times):
        old = reference.get()
        while not reference.compare_exchange(old, increment(old)):
            old = reference.get()


def _deref(atom: Any) -> int:
    return int(atom.deref())


def _cereggii_swap() -> Single:
    reference = installed("cereggii").AtomicRef
    return Single(lambda: reference(0), _compare_and_set, _get)


def _ft_utils_swap() -> Single:
    reference = installed("ft_utils.concurrency").AtomicReference
    return Single(lambda: reference(0), _compare_exchange, _get)


def _old_swap() -> Single:
    atom = old_atomos().atom
    return Single(lambda: atom(0), _swap, _deref)


SWAPS: Mapping[str, Callable[[], Single]] = {
    OURS: lambda: Single(lambda: Atom(0), _swap, _deref),
    "atomos 0.3.1": _old_swap,
    "cereggii": _cereggii_swap,
    "ft_utils": _ft_utils_swap,
    "lock": lambda: Single(Locked, _swap_locked, _value),
}
