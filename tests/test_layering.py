"""Imports go one way. The order is read from the docstring of `atomos.stm`."""

from __future__ import annotations

import ast
import importlib
import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import atomos
from atomos import stm

ROOT = Path(atomos.__file__).parent

#: What a user of the engine builds on, in order; between and above the engine.
AGENTS = ["_pools", "_action", "_performer", "_serial", "_restart", "_waiting", "agent"]
ABOVE = [
    *("_extras", "reference", *AGENTS, "stm.ref", "atom", "atomic"),
    *("_debug", "debug", "__init__"),
]


def engine_order():
    """Return the modules of the engine in the order of the docstring."""
    text = stm.__doc__.split("::")[1]
    return re.findall(r"(?<![\w`])_[a-z]+", text)


def order():
    engine = ["stm." + name for name in engine_order()]
    return ["errors", *engine, *ABOVE]


def module_name(path):
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    return name.removesuffix(".__init__") if "." in name else name


class Imports(ast.NodeVisitor):
    """Collects what a module imports from atomos: at run time, and for types."""

    def __init__(self, tree):
        self.found = {False: set(), True: set()}
        self._typing = False
        self.visit(tree)

    def visit_If(self, node):
        is_typing = isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        before, self._typing = self._typing, self._typing or is_typing
        for child in node.body:
            self.visit(child)
        self._typing = before
        for child in node.orelse:
            self.visit(child)

    def visit_Import(self, node):
        for alias in node.names:
            self._add(alias.name)

    def visit_ImportFrom(self, node):
        assert node.level == 0, "imports are absolute"
        module = node.module
        if (module or "").split(".")[0] != "atomos":
            return
        for alias in node.names:
            part = ROOT.joinpath(*module.split(".")[1:], alias.name)
            is_module = part.with_suffix(".py").exists() or part.is_dir()
            self._add(f"{module}.{alias.name}" if is_module else module)

    def _add(self, name):
        parts = name.split(".")
        if parts[0] == "atomos":
            self.found[self._typing].add(".".join(parts[1:]) or "__init__")


def imports_of(path):
    return Imports(ast.parse(path.read_text(encoding="utf-8"))).found


ENGINE = sorted((ROOT / "stm").glob("_*.py"))
PUBLIC = [ROOT / "errors.py", *sorted(ROOT.glob("*.py")), ROOT / "stm" / "ref.py"]
MODULES = [path for path in [*ENGINE, *PUBLIC] if path.stem not in ("__main__",)]


def place(name):
    """Return where a module is in the order."""
    known = order()
    if name not in known and name.startswith(("atomic.", "_debug.")):
        name = name.partition(".")[0]
    return known.index(name)


def test_the_docstring_names_each_module_of_the_engine_once():
    named = engine_order()
    assert len(named) == len(set(named))
    assert set(named) == {path.stem for path in ENGINE} - {"__init__"}


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_imports_point_at_what_comes_before(path):
    name = module_name(path)
    if name == "stm":  # it names what is public of the engine
        assert all(other.startswith("stm._") for other in imports_of(path)[False])
        return
    wrong = [other for other in imports_of(path)[False] if place(other) >= place(name)]
    assert wrong == []


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_imports_for_annotations_do_so_too(path):
    name = module_name(path)
    wrong = [other for other in imports_of(path)[True] if place(other) >= place(name)]
    assert wrong == []


def test_errors_imports_nothing_of_atomos():
    assert imports_of(ROOT / "errors.py") == {False: set(), True: set()}


@pytest.mark.parametrize("path", ENGINE, ids=module_name)
def test_the_engine_knows_nothing_of_what_is_built_on_it(path):
    found = imports_of(path)
    above = {
        name for name in found[False] | found[True] if not name.startswith("stm._")
    }
    assert above <= {"errors"}


def test_nothing_is_imported_inside_functions():
    for path in MODULES:
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(
                function, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
            ):
                inner = [
                    node
                    for node in ast.walk(function)
                    if isinstance(node, (ast.Import, ast.ImportFrom))
                ]
                assert not inner, f"{path.name}, line {inner[0].lineno}"


def test_the_atomics_and_the_demo_are_on_top():
    """Nobody below knows the atomics; nobody at all the demo and the test kit."""
    for path in MODULES:
        names = set.union(*imports_of(path).values())
        assert not any(name.startswith(("_demo", "testing")) for name in names), path
        if path.name != "__init__.py":
            assert not any(name.split(".")[0] == "atomic" for name in names), path
    for path in sorted((ROOT / "atomic").glob("*.py")):
        names = set.union(*imports_of(path).values())
        assert not names & {"atom", "reference", "stm.ref", "__init__", "_demo"}, path
        assert not any(name.startswith("testing") for name in names), path


def test_imports_of_the_test_kit_go_one_way():
    """At run time; for annotations, threads and their scheduler know each other."""
    paths = {
        module_name(path): path for path in sorted((ROOT / "testing").glob("*.py"))
    }
    below = {name: imports_of(path)[False] & set(paths) for name, path in paths.items()}
    assert len(list(TopologicalSorter(below).static_order())) == len(paths)
    assert not any("testing" in names for names in below.values())


def test_the_test_kit_is_on_top():
    for path in [*MODULES, *(ROOT / "atomic").glob("*.py")]:
        names = set.union(*imports_of(path).values())
        assert not any(name.split(".")[0] == "testing" for name in names), path


def debug_order():
    text = importlib.import_module("atomos._debug").__doc__.split("::")[1]
    return ["_debug." + name for name in re.findall(r"(?<![\w`])_[a-z]+", text)]


def test_debug_goes_one_way_and_nobody_below_knows_it():
    """`import atomos` imports it only where the environment asks for it."""
    known, found = debug_order(), sorted((ROOT / "_debug").glob("_[a-z]*.py"))
    assert sorted(known) == [module_name(path) for path in found]
    for path in found:
        names = set.union(*imports_of(path).values())
        assert not names & {"debug", "__init__", "_demo"}, path
        mine = [name for name in names if name.startswith("_debug.")]
        assert all(known.index(one) < known.index(module_name(path)) for one in mine)
    for path in MODULES:
        names = set.union(*imports_of(path).values())
        if path.name not in ("debug.py", "__init__.py"):
            assert not any(name.split(".")[0] in ("debug", "_debug") for name in names)


def multiprocessing_order():
    """The modules of `atomos.multiprocessing`, in the order of its docstring."""
    text = importlib.import_module("atomos.multiprocessing").__doc__.split("::")
    first, last = (re.findall(r"(?<![\w`])_[a-z_]+", part) for part in text[1:3])
    return ["multiprocessing." + name for name in [*first, "atom", "atomic", *last]]


def test_multiprocessing_goes_one_way_and_nobody_below_knows_it():
    """For annotations, too, but for the cells, which all name."""
    known = multiprocessing_order()
    paths = sorted((ROOT / "multiprocessing").glob("[_a-z]*.py"))
    found = {module_name(path): imports_of(path) for path in paths}
    found.pop("multiprocessing")
    assert sorted(known) == sorted(found)
    for name, imports in found.items():
        mine = {one for one in imports[False] if one.startswith("multiprocessing.")}
        assert all(known.index(one) < known.index(name) for one in mine), name
        assert not any("debug" in one or "testing" in one for one in imports[False])
    for path in [*MODULES, *(ROOT / "atomic").glob("*.py")]:
        names = set.union(*imports_of(path).values())
        assert not any(name.split(".")[0] == "multiprocessing" for name in names), path


def test_only_the_standard_library_and_sortedcontainers():
    import sys

    allowed = sys.stdlib_module_names | {"atomos", "sortedcontainers"}
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module]
            for name in names:
                assert name.split(".")[0] in allowed, f"{path.name} imports {name}"
