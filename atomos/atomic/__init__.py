"""Atomics: one value each, with the methods of `java.util.concurrent.atomic`.

Outside a transaction each call is a transaction of its own: it happens at one
instant, or not at all. Inside one it joins: what was written takes effect
together with the rest of the transaction, and is undone with it.

What differs from Java 17:

* Method names are in snake_case, and `set` returns the value (as atomos 0.3).
* `compare_and_set` and `compare_and_exchange` compare with ``==``; the classes
  with a stamp or a mark, and `compare_and_set_identity`, compare with ``is``.
* Python's ints do not overflow, so `AtomicLong` is `AtomicInteger` by another
  name.
* The variants of methods that differ only in memory mode are left out: every
  call here is sequentially consistent.
"""

from __future__ import annotations

from atomos.atomic._adder import LongAccumulator, LongAdder
from atomos.atomic._array import AtomicReferenceArray
from atomos.atomic._boolean import AtomicBoolean
from atomos.atomic._integer_array import AtomicIntegerArray
from atomos.atomic._markable import AtomicMarkableReference
from atomos.atomic._number import AtomicNumber
from atomos.atomic._numbers import AtomicFloat, AtomicInteger, AtomicLong
from atomos.atomic._reference import AtomicReference
from atomos.atomic._stamped import AtomicStampedReference

__all__ = [
    "AtomicBoolean",
    "AtomicFloat",
    "AtomicInteger",
    "AtomicIntegerArray",
    "AtomicLong",
    "AtomicMarkableReference",
    "AtomicNumber",
    "AtomicReference",
    "AtomicReferenceArray",
    "AtomicStampedReference",
    "LongAccumulator",
    "LongAdder",
]
