"""Each public name has a docstring with an example that runs, and with its cost.

What it raises is told where it raises anything, so only the names there are looked at.
That the examples run is for `test_docs.py` to see, which has to know of each module.
The bytes that an object takes are measured.
"""

from __future__ import annotations

import ast
import builtins
import dataclasses
import doctest
import enum
import importlib
import inspect
import re
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from test_docs import modules

import atomos
from atomos import atomic, errors, testing
from atomos.multiprocessing import atomic as shared_atomic

PUBLIC = [
    "atomos",
    "atomos.agent",
    "atomos.atom",
    "atomos.atomic",
    "atomos.debug",
    "atomos.errors",
    "atomos.multiprocessing",
    "atomos.multiprocessing.atom",
    "atomos.multiprocessing.atomic",
    "atomos.reference",
    "atomos.stm",
    "atomos.testing",
]

HEARS = "called by the engine: to `collecting` belongs a listener of attempts"
CHOOSES = "called by a run: what a schedule of any kind has for it"
HOOK = "defined by a subclass: the example of the class shows it"
#: Names that have no example or no cost of their own, and why.
EXCEPTIONS = {
    "atomos.stm.Collected.begins": HEARS,
    "atomos.stm.Collected.end": HEARS,
    "atomos.stm.Collected.ended": HEARS,
    "atomos.stm.Collected.failed": HEARS,
    "atomos.stm.Collected.forked": HEARS,
    "atomos.stm.Collected.waited": HEARS,
    "atomos.testing.Priorities.chooser": CHOOSES,
    "atomos.testing.Schedule.chooser": CHOOSES,
    "atomos.testing.TransactionalStateMachine.make_model": HOOK,
    "atomos.testing.TransactionalStateMachine.make_state": HOOK,
    "atomos.testing.TransactionalStateMachine.observe": HOOK,
    "atomos.testing.TransactionalStateMachine.run_together": (
        "called by Hypothesis: the rule that is made of all that are marked"
    ),
}
#: Atomics that Java does not have.
OURS = {"AtomicCtypesReference", "AtomicFloat", "AtomicNumber"}

COST = re.compile(r"^Cost: \S", re.MULTILINE)
RAISES = re.compile(r"^Raises:\n((?: .*\n?|\n(?= ))+)", re.MULTILINE)
ENTRY = re.compile(r"^    (\S.*?):(?: |$)", re.MULTILINE)


class Named(NamedTuple):
    """A public name, what it stands for, and its docstring."""

    name: str
    thing: object
    doc: str


def public() -> Iterator[Named]:
    """Yield what the public modules offer, each of it once, with its methods."""
    seen = set()
    for module_name in PUBLIC:
        module = importlib.import_module(module_name)
        for name in module.__all__:
            thing = getattr(module, name)
            if inspect.ismodule(thing) or id(thing) in seen:
                continue
            seen.add(id(thing))
            named = f"{module_name}.{name}"
            # That of a class is its own: one that is inherited is about another.
            own = thing.__doc__ if isinstance(thing, type) else inspect.getdoc(thing)
            yield Named(named, thing, inspect.cleandoc(own or ""))
            if isinstance(thing, type):
                yield from members(named, thing)


def members(named: str, cls: type) -> Iterator[Named]:
    """Yield the methods and properties of a class that are of this library."""
    for name in dir(cls):
        if name.startswith("_"):
            continue
        owner = next(base for base in cls.__mro__ if name in vars(base))
        member = inspect.getattr_static(cls, name)
        is_ours = owner.__module__.partition(".")[0] == "atomos"
        if is_ours and (inspect.isroutine(member) or isinstance(member, property)):
            doc = inspect.getdoc(getattr(cls, name)) or ""
            yield Named(f"{named}.{name}", member, doc)


def is_record(cls: type) -> bool:
    return dataclasses.is_dataclass(cls) or hasattr(cls, "_fields")


def has_example(doc: str) -> bool:
    """Whether something in it runs."""
    return any(
        not example.options.get(doctest.SKIP)
        for example in doctest.DocTestParser().get_examples(doc)
    )


def lacks(named: Named) -> list[str]:
    """Return what the docstring lacks."""
    thing, doc = named.thing, named.doc
    if isinstance(thing, property):
        return [] if doc else ["docstring"]  # one line will do
    found = [] if has_example(doc) else ["example"]
    free = isinstance(thing, type) and (
        issubclass(thing, (BaseException, enum.Enum)) or is_record(thing)
    )
    if not free and not COST.search(doc):
        found.append("cost")
    return found


def raised(doc: str) -> list[str]:
    """Return the names under ``Raises:``."""
    section = RAISES.search(doc)
    return [] if section is None else ENTRY.findall(section[1])


def is_exception(name: str) -> bool:
    found = (getattr(module, name, None) for module in (builtins, errors, testing))
    return any(
        isinstance(one, type) and issubclass(one, BaseException) for one in found
    )


NAMED = list(public())
CLASSES = [
    (name, module.__name__)
    for module in (atomic, shared_atomic)
    for name in module.__all__
    if name not in OURS
]


def test_each_public_name_has_an_example_and_its_cost():
    found = {one.name: lacks(one) for one in NAMED if one.name not in EXCEPTIONS}
    assert len(found) > 300
    assert {name: what for name, what in found.items() if what} == {}


def test_each_exception_is_still_needed():
    found = {one.name: one for one in NAMED if one.name in EXCEPTIONS}
    assert found.keys() == EXCEPTIONS.keys()
    assert [name for name, one in found.items() if not one.doc or not lacks(one)] == []


def test_all_that_is_told_to_be_raised_exists():
    names = {(one.name, name) for one in NAMED for name in raised(one.doc)}
    assert len(names) > 300
    assert [where for where in sorted(names) if not is_exception(where[1])] == []


@pytest.mark.parametrize(("name", "module"), CLASSES)
def test_each_class_of_java_is_named_as_the_source(name, module):
    doc = inspect.cleandoc(getattr(importlib.import_module(module), name).__doc__)
    source = f"java.util.concurrent.atomic.{name}"
    assert re.search(rf"^Source: {re.escape(source)}\b", doc, re.MULTILINE)


MAKES = [
    lambda n: atomos.ARef(n),
    lambda n: atomos.Atom(n),
    lambda n: atomos.Ref(n),
    lambda n: atomos.AtomicReference(n),
    lambda n: atomos.AtomicBoolean(n % 2 == 0),
    lambda n: atomos.AtomicNumber(n),
    lambda n: atomos.AtomicInteger(n),
    lambda n: atomos.AtomicLong(n),
    lambda n: atomos.AtomicFloat(CONSTANT),
    lambda n: atomos.AtomicStampedReference(None, n),
    lambda n: atomos.AtomicMarkableReference(None, False),
    lambda n: atomos.LongAdder(),
    lambda n: atomos.LongAccumulator(max, n),
    lambda n: atomos.TransactionLocal(int),
]
CONSTANT = 0.5
#: Bytes by which a measurement may be wrong.
NOISE = 7


def size_of(make: Callable[[int], object]) -> int:
    """Return how many bytes one takes, beside its value; the least of some rounds."""
    return min(_size_of(make) for _ in range(3))


def _size_of(make: Callable[[int], object]) -> int:
    count = 1000
    values = list(range(1000, 1000 + count))
    kept: list[object] = [None] * count
    make(1)
    # Tuples and dicts that were let go are kept by the interpreter, to be used again.
    used = [((n, n), {}) for n in range(3 * count)]
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for place, value in enumerate(values):
            kept[place] = make(value)
        return round((tracemalloc.get_traced_memory()[0] - before) / count)
    finally:
        tracemalloc.stop()
        del used


def agrees(found: int, told: int) -> bool:
    """Whether a figure of CPython 3.11 is right; later ones take a little more."""
    more = 0 if sys.version_info[:2] == (3, 11) else 16
    return told - NOISE <= found <= told + NOISE + more


@pytest.mark.parametrize("make", MAKES, ids=lambda make: type(make(1)).__name__)
def test_the_bytes_that_one_takes_are_those_of_the_docstring(make):
    doc = inspect.cleandoc(type(make(1)).__doc__)
    told = re.search(r"^Cost: to make one, O\(1\) and (\d+) bytes", doc, re.MULTILINE)
    assert agrees(size_of(make), int(told[1]))


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        (atomos.ARef, {"validator": callable}),
        (atomos.Atom, {"meta": 1}),
        (atomos.Ref, {"name": "n"}),
        (atomos.Ref, {"max_history": 3}),
    ],
)
def test_the_bytes_of_what_few_have_are_those_of_the_docstring(kind, more):
    told = re.search(r"(\d+) more\s+with", kind.__doc__)
    found = size_of(lambda n: kind(print, **more)) - size_of(lambda n: kind(print))
    assert agrees(found, int(told[1]))


def with_examples() -> Iterator[str]:
    """Yield the modules that have examples in their docstrings."""
    package = Path(atomos.__file__).parent
    for path in package.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        docs = (ast.get_docstring(x) for x in ast.walk(tree) if isinstance(x, kinds))
        if any(doc and ">>> " in doc for doc in docs):
            parts = path.relative_to(package.parent).with_suffix("").parts
            yield ".".join(part for part in parts if part != "__init__")


def test_the_examples_of_each_module_are_run():
    found = set(with_examples())
    assert len(found) > 30
    assert found - set(modules()) == set()


def stub(doc: str) -> Named:
    def thing() -> None: ...

    return Named("thing", thing, doc)


@pytest.mark.parametrize(
    ("doc", "what"),
    [
        ("", ["example", "cost"]),
        ("Do.\n\nCost: O(1).", ["example"]),
        ("Do.\n\nExample:\n    >>> 1\n    1", ["cost"]),
        ("Do.\n\nCost:\n\nExample:\n    >>> 1\n    1", ["cost"]),
        ("Do.\n\nCost: none.\n\nExample:\n    >>> 1  # doctest: +SKIP", ["example"]),
        ("Do.\n\nCost: none.\n\nExample:\n    >>> 1\n    1", []),
    ],
)
def test_what_is_lacking_is_found(doc, what):
    assert lacks(stub(doc)) == what


def test_the_names_of_what_is_raised_are_found():
    doc = """Do.

    Raises:
        TypeError: It is no number: neither
            an int nor a float.
        NoSuchError: Never.

    Cost: none.
    """
    assert raised(inspect.cleandoc(doc)) == ["TypeError", "NoSuchError"]
    assert is_exception("TypeError")
    assert is_exception("TransactionTimeout")
    assert not is_exception("NoSuchError")
    assert not is_exception("print")
