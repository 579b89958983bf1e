"""Prints of values: what can be changed inside of one, and what it held.

A print is a list with an entry for each mutable container in a value, at any depth: the
container, and a copy of its contents, one level deep. A value has changed if a
container does not hold the very objects it held, in the same order. Objects are
compared by identity alone, so no `__eq__`, `__hash__` or property of the user is
called, and NaNs and arrays do no harm. The copies keep the objects alive, so that no
other one gets the same address.

A value in which nothing can be changed has an empty print, and costs nothing to look
at again. What is looked into is a matter of classes, decided once for each:

- `list`, `dict`, `set`, `deque`, `bytearray`, `array`, `SimpleNamespace`, and what is
  derived from one of them, also `defaultdict`, `OrderedDict` and `Counter`;
- dataclasses, by the fields that count for ``==``. A frozen one is trusted, and only
  looked through;
- tuples and frozensets are looked through, as are the keys of dicts;
- classes that the user has named, by all their attributes but a `cached_property`.

A class may be several of these, such as a dataclass derived from `dict`. Then it is
read in each of these ways, and has an entry for each.

Anything else is a leaf: locks, files, refs, arrays of numpy, objects of classes
that nobody has named. They may have caches, which to fill is no change of a value.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import cached_property
from operator import is_
from types import (
    BuiltinFunctionType,
    FunctionType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
    SimpleNamespace,
)
from typing import Any, Final

__all__ = ["Prints", "Record", "changed"]

#: What a container holds: its objects, or its bytes.
Contents = tuple[object, ...] | bytes
#: Returns what a container holds.
Reader = Callable[[Any], Contents]
#: A reader, and whether what it reads can be changed.
Way = tuple[Reader, bool]
#: In which ways to read objects of a class; none for a leaf.
Ways = tuple[Way, ...]
#: A mutable container, how it is read, and what it held.
Record = tuple[object, Reader, Contents]

#: In objects of exactly these types there is nothing to be found.
_LEAF_TYPES: Final = frozenset(
    {int, float, complex, bool, str, bytes, type(None), type(...), range, type}
    | {FunctionType, BuiltinFunctionType, MethodType, ModuleType}
)
#: By their `id`, since a metaclass may define `__eq__` and `__hash__`.
_LEAVES: Final = frozenset(map(id, _LEAF_TYPES))
#: How many classes are remembered.
_CLASSES: Final = 4096
_MISSING: Final = object()


def _read_dict(one: dict[Any, Any]) -> Contents:
    return (*dict.keys(one), *dict.values(one))


def _read_ordered(one: OrderedDict[Any, Any]) -> Contents:
    return (*OrderedDict.__iter__(one), *dict.values(one))


# Methods of the base classes: those of a derived one are the user's.
_READERS: Final[tuple[tuple[type, Reader], ...]] = (
    (list, lambda one: tuple(list.__iter__(one))),
    (OrderedDict, _read_ordered),
    (dict, _read_dict),
    (set, lambda one: tuple(set.__iter__(one))),
    (deque, lambda one: tuple(deque.__iter__(one))),
    (bytearray, lambda one: bytes(bytearray.copy(one))),
    (array, lambda one: array.tobytes(one)),
)
_THROUGH: Final[tuple[tuple[type, Reader], ...]] = (
    (tuple, lambda one: tuple(tuple.__iter__(one))),
    (frozenset, lambda one: tuple(frozenset.__iter__(one))),
)


def _attributes(one: object) -> dict[str, object]:
    try:
        found: dict[str, object] = object.__getattribute__(one, "__dict__")
    except AttributeError:
        return {}
    return found


def _slots(kind: type) -> dict[str, MemberDescriptorType]:
    """Return the slots of `kind`, by name.

    Members of a class in C are none: some make a new object each time.
    """
    found = {}
    for base in reversed(kind.__mro__):
        if "__slots__" not in vars(base):
            continue
        for name, slot in vars(base).items():
            if isinstance(slot, MemberDescriptorType):
                found[name] = slot
    return found


def _slot(slot: MemberDescriptorType, one: object) -> object:
    try:
        return slot.__get__(one)
    except AttributeError:
        return _MISSING


def _reads_fields(kind: Any) -> Reader:
    """Return how to read a dataclass: what counts for ``==``, no property."""
    names = [field.name for field in fields(kind) if field.compare]
    slots = [slot for name, slot in _slots(kind).items() if name in names]

    def read(one: object) -> Contents:
        there = _attributes(one)
        held = [there.get(name, _MISSING) for name in names]
        return (*held, *[_slot(slot, one) for slot in slots])

    return read


def _reads_all(kind: type) -> Reader:
    """Return how to read all attributes of an object."""
    cached = {
        name
        for base in kind.__mro__
        for name, value in vars(base).items()
        if isinstance(value, cached_property)
    }
    slots = list(_slots(kind).values())

    def read(one: object) -> Contents:
        there = {k: v for k, v in _attributes(one).items() if k not in cached}
        return (*_read_dict(there), *[_slot(slot, one) for slot in slots])

    return read


def _read(read: Reader, one: object) -> Contents | None:
    """Return what `one` holds; None if somebody is changing it just now."""
    try:
        return read(one)
    except RuntimeError:
        return None


def _only_leaves(contents: tuple[object, ...]) -> bool:
    """Whether there is nothing to be found in `contents`; False if not known.

    Four times as fast as to look at each.
    """
    try:
        return {*map(type, contents)} <= _LEAF_TYPES
    except Exception:  # of a metaclass
        return False


def _how(kind: type, classes: tuple[type, ...]) -> Ways:
    """Return in which ways to read an object of a class."""
    ways: list[Way] = []
    for base, read in _READERS:
        if issubclass(kind, base):
            ways.append((read, True))
            break
    for base, read in _THROUGH:
        if issubclass(kind, base):
            ways.append((read, False))
    named = any(base is one for base in kind.__mro__ for one in classes)
    if named or issubclass(kind, SimpleNamespace):
        ways.append((_reads_all(kind), True))
    elif is_dataclass(kind):
        frozen = kind.__dataclass_params__.frozen  # type: ignore[attr-defined] # not in the stubs
        ways.append((_reads_fields(kind), not frozen))
    return tuple(ways)


class Prints:
    """Takes prints.

    Attributes:
        classes: Those to look into that the user has named.
        known: By the `id` of a class: that class, which keeps the `id`, and how to
            read it. Added to by anyone.
    """

    __slots__ = ("classes", "known")

    def __init__(self, classes: tuple[type, ...]) -> None:
        self.classes = classes
        self.known: dict[int, tuple[type, Ways]] = {}

    def _ways(self, kind: type) -> Ways:
        found = self.known.get(id(kind))
        if found is None:
            if len(self.known) >= _CLASSES:
                self.known = {}
            found = self.known[id(kind)] = kind, _how(kind, self.classes)
        return found[1]

    def take(self, value: object) -> list[Record]:
        """Return the print of `value`.

        Cost: O(all objects in it); O(1) for a leaf.
        """
        records: list[Record] = []
        if id(type(value)) in _LEAVES:
            return records
        seen, left = {id(value)}, [value]
        while left:
            one = left.pop()
            for read, mutable in self._ways(type(one)):
                contents = _read(read, one)
                if contents is None:
                    contents = (_MISSING,)  # found changed at the next look
                if mutable:
                    records.append((one, read, contents))
                if isinstance(contents, bytes) or _only_leaves(contents):
                    continue
                for item in contents:
                    if id(type(item)) not in _LEAVES and id(item) not in seen:
                        seen.add(id(item))
                        left.append(item)
        return records


def changed(records: list[Record]) -> object:
    """Return a container that does not hold what it held; None if there is none.

    Cost: O(objects in mutable containers).
    """
    for one, read, before in records:
        now = _read(read, one)
        if now is None or len(now) != len(before):
            return one
        if type(now) is bytes:
            if now != before:
                return one
        elif not all(map(is_, now, before)):
            return one
    return None
