"""Each public name has a line in this folder which says what its type is."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import atomos

HERE = Path(__file__).parent
TREES = [ast.parse(path.read_text(encoding="utf-8")) for path in HERE.glob("*.py")]
CLASSES = [name for name in atomos.__all__ if isinstance(getattr(atomos, name), type)]


def used_in(test: str) -> set[str]:
    """Return the attributes that the test of this name uses."""
    found = {
        node.attr
        for tree in TREES
        for function in tree.body
        if isinstance(function, ast.FunctionDef) and function.name == test
        for node in ast.walk(function)
        if isinstance(node, ast.Attribute)
    }
    assert found, f"there is no {test}"
    return found


@pytest.mark.parametrize("name", CLASSES)
def test_each_method_of_a_class_is_used(name: str) -> None:
    """In `test_<name>`; inherited ones are left to the test of a public base."""
    public = [getattr(atomos, other) for other in CLASSES if other != name]
    own = {
        attribute
        for base in getattr(atomos, name).__mro__[:-1]
        if base not in public and base.__module__.startswith("atomos.")
        for attribute in vars(base)
        if not attribute.startswith("_")
    }
    assert own - used_in(f"test_{name}") == set()


def test_each_name_is_used() -> None:
    used = {
        node.id
        for tree in TREES
        for node in ast.walk(tree)
        if isinstance(node, ast.Name)
    }
    assert set(atomos.__all__) - used == set()
